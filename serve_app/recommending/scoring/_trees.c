/* Adds what complete trees say of rows; the caller is serve_app/recommending/scoring/trees.py.

   Every node of a tree is asked for every row, from the leaves to the root, without a jump: the
   inner loops run over neighbouring rows and become vector instructions. */

#include <stdint.h>

#define BLOCK 512    /* rows; what the nodes of the deepest tree say of them fits into 128 KB */
#define MAX_NODES 63 /* depth 6, MAX_DEPTH of trees.py */

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EVERY_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EVERY_PROCESSOR
#endif

/* What a node says of the rows of a block. A comparison with a missing number (NaN) is false. */
#define SAY(left, right)                                                                \
    do {                                                                                \
        if (goes_left_if_missing)                                                       \
            for (int64_t r = 0; r < n; r++)                                             \
                said[node][r] = !(column[r] >= threshold) ? (left) : (right);           \
        else                                                                            \
            for (int64_t r = 0; r < n; r++)                                             \
                said[node][r] = column[r] < threshold ? (left) : (right);               \
    } while (0)

FOR_EVERY_PROCESSOR
void add_trees(const float *columns, int64_t n_rows, const int32_t *features,
               const float *thresholds, const uint8_t *missing_left, const float *leaves,
               int64_t n_trees, int64_t n_nodes, float *margins)
{
    float said[MAX_NODES][BLOCK];
    for (int64_t start = 0; start < n_rows; start += BLOCK) {
        const int64_t n = n_rows - start < BLOCK ? n_rows - start : BLOCK;
        for (int64_t tree = 0; tree < n_trees; tree++) {
            const float *leaves_of_tree = leaves + tree * (n_nodes + 1);
            for (int64_t node = n_nodes - 1; node >= 0; node--) {
                const int64_t at = tree * n_nodes + node, child = 2 * node + 1;
                const float *column = columns + features[at] * n_rows + start;
                const float threshold = thresholds[at];
                const int goes_left_if_missing = missing_left[at];
                if (child < n_nodes) {
                    SAY(said[child][r], said[child + 1][r]);
                } else {
                    const float *leaf = leaves_of_tree + (child - n_nodes);
                    const float left = leaf[0], right = leaf[1];
                    SAY(left, right);
                }
            }
            for (int64_t r = 0; r < n; r++)
                margins[start + r] += said[0][r];
        }
    }
}
