/* dsvl2: the CUDA stand-in: warp-wide matrix instructions (mma.sync, wmma, ldmatrix, stmatrix)
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * mma.sync has the fragments that PTX documents. Those of wmma are unspecified there; here lane l holds
 * elements l · n … l · n + n − 1 of the row-major matrix, so that code which relies on a GPU's order fails.
 * One instruction's sums are exact and then rounded once: a tensor core's rounding is its own. */
#ifndef STANDIN_MATRIX_H
#define STANDIN_MATRIX_H

#include "arith.h"
#include "warp.h"

typedef enum {
  ELEMENT_F16,
  ELEMENT_BF16,
  ELEMENT_TF32,
  ELEMENT_F32,
  ELEMENT_S32,
  ELEMENT_S8,
  ELEMENT_U8
} Element;

enum {
  MAX_SIDE = 32,     /* of a matrix that takes part */
  MAX_REGISTERS = 8, /* of a fragment */
  WMMA_ALIGNMENT = 32,
  LDMATRIX_ROW = 16, /* bytes of a row of an 8 × 8 matrix */
};

typedef double Matrix[MAX_SIDE][MAX_SIDE]; /* holds float32 and int32 exactly */

static inline int
element_bytes (Element e)
{
  switch (e) {
    case ELEMENT_S8:
    case ELEMENT_U8:
      return 1;
    case ELEMENT_F16:
    case ELEMENT_BF16:
      return 2;
    default:
      return 4;
  }
}

static inline double
number_of_bits (Element e, u32 bits)
{
  switch (e) {
    case ELEMENT_F16:
      return f32_of_f16 (bits);
    case ELEMENT_BF16:
      return f32_of_bf16 (bits);
    case ELEMENT_TF32:
      return f32_of_bits (bits & ~(u32) 0x1fff);
    case ELEMENT_S8:
      return (s8) bits;
    case ELEMENT_U8:
      return (u8) bits;
    case ELEMENT_S32:
      return (s32) bits;
    default:
      return f32_of_bits (bits);
  }
}

static inline u32
bits_of_number (Element e, double v)
{
  switch (e) {
    case ELEMENT_F16:
      return f16_of_f32 ((float) v);
    case ELEMENT_S32:
      return (u32) (s64) v;
    default:
      return bits_of_f32 ((float) v);
  }
}

/* Element j of the elements that a lane's registers hold one after the other. */
static inline u32
packed (const u32 *registers, Element e, int j)
{
  const int bytes = element_bytes (e), in_register = 4 / bytes;
  const u32 word = registers[j / in_register] >> 8 * bytes * (j % in_register);

  return bytes == 4 ? word : word & ((1u << 8 * bytes) - 1);
}

static inline void
pack (u32 *registers, Element e, int j, u32 bits)
{
  const int bytes = element_bytes (e), in_register = 4 / bytes, shift = 8 * bytes * (j % in_register);
  const u32 mask = bytes == 4 ? ~0u : ((1u << 8 * bytes) - 1) << shift;

  registers[j / in_register] = (registers[j / in_register] & ~mask) | (bits << shift & mask);
}

/* sum += a · b, M × K and K × N. */
static void
multiply (Matrix sum, Matrix a, Matrix b, int M, int N, int K)
{
  for (int i = 0; i < M; i++)
    for (int k = 0; k < K; k++)
      for (int j = 0; j < N; j++)
        sum[i][j] += a[i][k] * b[k][j];
}

/* --- mma.sync ------------------------------------------------------------------------------------ */

/* Where the documented fragments of m16n8kK hold their elements. Lane l is in group l / 4, thread l % 4
 * of it; a register holds elements that are neighbours along k. */
static void
mma_16_8 (int K, Element ea, Element eb, Element ec, u32 A[LANES][MAX_REGISTERS],
    u32 B[LANES][MAX_REGISTERS], u32 C[LANES][MAX_REGISTERS])
{
  static Matrix a, b, c;
  const int in_register = 4 / element_bytes (ea), n_a = K / in_register / 2, n_b = K / in_register / 4;

  for (int l = 0; l < LANES; l++) {
    const int group = l / 4, thread = l % 4;

    for (int i = 0; i < n_a; i++)
      for (int j = 0; j < in_register; j++)
        a[group + 8 * (i & 1)][thread * in_register + j + (i >> 1) * 4 * in_register] =
            number_of_bits (ea, packed (A[l], ea, i * in_register + j));
    for (int i = 0; i < n_b; i++)
      for (int j = 0; j < in_register; j++)
        b[thread * in_register + j + i * 4 * in_register][group] =
            number_of_bits (eb, packed (B[l], eb, i * in_register + j));
    for (int i = 0; i < 4; i++)
      c[group + 8 * (i >> 1)][thread * 2 + (i & 1)] = number_of_bits (ec, packed (C[l], ec, i));
  }
  multiply (c, a, b, 16, 8, K);
  for (int l = 0; l < LANES; l++)
    for (int i = 0; i < 4; i++)
      pack (C[l], ec, i, bits_of_number (ec, c[l / 4 + 8 * (i >> 1)][l % 4 * 2 + (i & 1)]));
}

/* --- wmma ---------------------------------------------------------------------------------------- */

static void
wmma_unpack (Matrix m, Element e, int rows, int columns, u32 F[LANES][MAX_REGISTERS])
{
  const int n = rows * columns / LANES;

  for (int l = 0; l < LANES; l++)
    for (int j = 0; j < n; j++)
      m[(l * n + j) / columns][(l * n + j) % columns] = number_of_bits (e, packed (F[l], e, j));
}

static void
wmma_mma (int M, int N, int K, Element ea, Element ec, Element ed, u32 A[LANES][MAX_REGISTERS],
    u32 B[LANES][MAX_REGISTERS], u32 C[LANES][MAX_REGISTERS])
{
  static Matrix a, b, c;
  const int n = M * N / LANES;

  wmma_unpack (a, ea, M, K, A);
  wmma_unpack (b, ea, K, N, B);
  wmma_unpack (c, ec, M, N, C);
  multiply (c, a, b, M, N, K);
  for (int l = 0; l < LANES; l++)
    for (int j = 0; j < n; j++)
      pack (C[l], ed, j, bits_of_number (ed, c[(l * n + j) / N][(l * n + j) % N]));
}

/* Reads or writes a fragment, an element at a time. `by_row`: a row's elements are neighbours. */
static void
wmma_move (Block *b, Warp *w, int in_shared, u64 address, u32 stride, int by_row, Element e, int rows,
    int columns, u32 F[LANES][MAX_REGISTERS], Access access, Site *site)
{
  const u32 bytes = element_bytes (e), n = rows * columns / LANES;

  if (address % WMMA_ALIGNMENT)
    device_fault (b, w, 0, site, "wmma: matrix at %#llx, which is no multiple of %d bytes",
        (unsigned long long) address, WMMA_ALIGNMENT);
  if (stride * bytes % 16)
    device_fault (b, w, 0, site, "wmma: rows of %u bytes, which is no multiple of 16", stride * bytes);
  for (u32 j = 0; j < n; j++) {
    u64 at[LANES];

    for (u32 l = 0; l < LANES; l++) {
      const u32 row = (l * n + j) / columns, column = (l * n + j) % columns;

      at[l] = address + bytes * ((u64) (by_row ? row : column) * stride + (by_row ? column : row));
    }
    if (in_shared)
      shared_access (b, w, FULL_MASK, at, bytes, access, site);
    else
      generic_access (b, w, FULL_MASK, at, bytes, access, site);
    for (u32 l = 0; l < LANES; l++) {
      u32 bits = packed (F[l], e, j);

      if (access == ACCESS_STORE) {
        memcpy ((void *) at[l], &bits, bytes);
      } else {
        bits = 0;
        memcpy (&bits, (const void *) at[l], bytes);
        pack (F[l], e, j, bits);
      }
    }
  }
}

/* --- ldmatrix, stmatrix -------------------------------------------------------------------------- */

/* n matrices of 8 × 8 two-byte elements; row r of matrix i is at address[8 i + r] in shared memory. Lane
 * l holds elements 2 (l % 4) and the next of row l / 4, or of column l / 4 if transposed. */
static void
matrix_move (Block *b, Warp *w, const u32 *address, int n, int transposed, u32 F[LANES][MAX_REGISTERS],
    Access access, Site *site)
{
  for (int i = 0; i < n; i++)
    for (int half = 0; half < 2; half++) {
      u64 at[LANES];

      for (int l = 0; l < LANES; l++) {
        const int along = l % 4 * 2 + half, row = transposed ? along : l / 4,
                  column = transposed ? l / 4 : along;
        const u32 begin = address[i * 8 + row];

        if (begin % LDMATRIX_ROW)
          device_fault (b, w, i * 8 + row, site, "matrix row at offset %u, which is no multiple of %d",
              begin, LDMATRIX_ROW);
        at[l] = begin + 2 * column;
      }
      shared_access (b, w, FULL_MASK, at, 2, access, site);
      for (int l = 0; l < LANES; l++)
        if (access == ACCESS_STORE) {
          const u16 bits = F[l][i] >> 16 * half;
          memcpy ((void *) at[l], &bits, 2);
        } else {
          u16 bits;
          memcpy (&bits, (const void *) at[l], 2);
          pack (F[l], ELEMENT_F16, i * 2 + half, bits);
        }
    }
}

#endif
