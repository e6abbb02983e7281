#include "model/kind.h"

#include <string.h>

#include "model/classifier_kind.h"
#include "model/flow_kind.h"

static const struct tw_kind *const kinds[] = {&tw_flow_kind, &tw_classifier_kind, NULL};

const struct tw_kind *const *tw_kind_all(void)
{
    return kinds;
}

const struct tw_kind *tw_kind_find(const char *name)
{
    for (const struct tw_kind *const *kind = kinds; *kind; kind++)
        if (!strcmp((*kind)->name, name))
            return *kind;
    return NULL;
}

int tw_kind_members(const struct tw_kind *kind, const void *config)
{
    return kind->members ? kind->members(config) : 1;
}
