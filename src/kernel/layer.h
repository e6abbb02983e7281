/* Dense layers with our own products (product.h): no column depends on those beside it. */
#ifndef TW_KERNEL_LAYER_H
#define TW_KERNEL_LAYER_H

#include "kernel/loops.h"

#ifdef TW_LOOPS_ISA
#define tw_layer_bend   TW_LOOPS_NAME(tw_layer_bend)
#define tw_layer_dense  TW_LOOPS_NAME(tw_layer_dense)
#define tw_layer_single TW_LOOPS_NAME(tw_layer_single)
/* dense and single of struct tw_kernels. */
void tw_layer_dense(enum tw_activation act, int out, int in, int cols, const tw_real *w, const tw_real *b,
                    const tw_real *x, tw_real *slope, tw_real *y);
void tw_layer_single(enum tw_activation act, int out, int in, const tw_real *turned, const tw_real *b, const tw_real *x,
                     tw_real *y);
/* y (n) = act(y), elementwise, n a multiple of 16; slope (n) keeps what dense() says, or is NULL. */
void tw_layer_bend(enum tw_activation act, size_t n, tw_real *slope, tw_real *y);
#endif

/* Both with factors in bfloat16, layer_bf16.c; only where the processor has AVX512_BF16, and in float32. */
void tw_layer_bf16_dense(enum tw_activation act, int out, int in, int cols, const tw_real *w, const tw_real *b,
                         const tw_real *x, tw_real *slope, tw_real *y);
void tw_layer_bf16_single(enum tw_activation act, int out, int in, const tw_real *turned, const tw_real *b,
                          const tw_real *x, tw_real *y);

#endif
