/* A flow as a graph of standard operators, for frameworks that know nothing of twin: one ONNX file for log_prob, one
 * for samples (docs/onnx.md says what goes in and comes out).
 *
 * Transforms and coordinates are computed in double, as here, networks and splines in float32. The search for a
 * spline's bin is a sum of comparisons, and what belongs to the bin is gathered by that number: no operator is asked to
 * branch, so any number of events goes through one graph.
 */
#ifndef TW_MODEL_ONNX_H
#define TW_MODEL_ONNX_H

#include "model/model.h"

#define TW_ONNX_REVISION 1 /* raised when the graph of the same model becomes another one */

enum tw_onnx_output { TW_ONNX_LOG_PROB, TW_ONNX_SAMPLE };

/* "log_prob", "sample"; false if there is no such output. */
bool tw_onnx_output_find(const char *name, enum tw_onnx_output *out);

/* Allocates *bytes with malloc. TW_INVALID with a sentence where the model is no flow, or carries weights. The file's
 * metadata name the columns, and who made it if `record` (NULL: nobody) says. */
struct tw_onnx_record {
    const char *twin, *sha256; /* of the artifact */
    int version;
};
int tw_onnx_export(const struct tw_model *model, enum tw_onnx_output output, const struct tw_onnx_record *record,
                   unsigned char **bytes, size_t *size, struct tw_error *error);

#endif
