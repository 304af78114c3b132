/* dsvl2: the CUDA stand-in: a product of matrices, as cuBLAS and cuBLASLt queue it
 * SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef STANDIN_GEMM_H
#define STANDIN_GEMM_H

#include "../runtime/standin.h"

#include <cublasLt.h>

namespace standin {

/* A matrix in device memory. Element (row, column) is at row + column · leading (in elements), or at
 * row · leading + column if by_row. */
struct MatrixView {
  const void *data;
  cudaDataType type;
  long rows, columns, leading;
  bool by_row;
  long long stride; /* from one matrix of the batch to the next */
};

/* d[z] = epilogue (alpha · op (a[z]) · op (b[z]) + beta · c[z] + bias), op (a) m × k, op (b) k × n. */
struct Gemm {
  const char *name;
  long m, n, k;
  bool transposed_a, transposed_b;
  MatrixView a, b, c, d;
  int batch;
  long slice; /* of k: each is summed from 0 on and then added in turn; 0: k is one */
  cublasComputeType_t compute;
  float alpha, beta;
  const float *device_alpha, *device_beta; /* read when it runs, if not NULL */
  cublasLtEpilogue_t epilogue;
  const void *bias; /* m, of type bias_type */
  cudaDataType bias_type;
};

size_t type_bytes (cudaDataType type);

/* Are these types one of the combinations that the libraries document for float32 sums? */
bool is_supported (cublasComputeType_t compute, cudaDataType a, cudaDataType b, cudaDataType c);

/* Computes it now, in float32. Fault: memory that is not allocated, or was never written. */
void run_gemm (const Gemm &g);

/* Queues it. */
cublasStatus_t queue_gemm (cudaStream_t stream, const Gemm &g);

/* Gives `status` back, a sentence on stderr: what was asked, why it is refused. */
cublasStatus_t refuse (cublasStatus_t status, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));

} // namespace standin

#endif
