/* Numbers in JSON, which knows no NaN and no infinity. */
#ifndef DAEMON_NUMBER_H
#define DAEMON_NUMBER_H

#include <jansson.h>

/* null where the value is not finite. A new reference; NULL when memory is out. */
json_t *number_json(double value);

#endif
