/* The number type of the library.
 *
 * libtwin computes in float32. The same sources are compiled a second time with TW_REAL_IS_DOUBLE into a library
 * that only tests link: there finite differences and round trips are limited by the mathematics and not by rounding.
 */
#ifndef TW_BASE_REAL_H
#define TW_BASE_REAL_H

#ifdef TW_REAL_IS_DOUBLE
typedef double tw_real;
#else
typedef float tw_real;
#endif

#endif
