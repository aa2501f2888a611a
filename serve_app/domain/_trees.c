/* Adds what complete trees say of rows; the caller is serve_app/domain/trees.py.

   Every node of a tree is asked for every row, from the leaves to the root, without a jump: the
   inner loops run over neighbouring rows and become vector instructions. */

#include <stdint.h>

#define BLOCK 256    /* rows; with the nodes of a tree of depth 6 they fit into 64 KB */
#define MAX_NODES 63

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EVERY_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EVERY_PROCESSOR
#endif

#define CHOOSE(is_left, left, right) \
    for (int64_t r = 0; r < n; r++) said[node][r] = (is_left) ? (left) : (right)

/* A comparison with a missing number (NaN) is false. */
#define CHOOSE_BY_NODE(left, right)                           \
    do {                                                      \
        if (missing_left[node])                               \
            CHOOSE(!(column[r] >= threshold), left, right);   \
        else                                                  \
            CHOOSE(column[r] < threshold, left, right);       \
    } while (0)

FOR_EVERY_PROCESSOR
void add_trees(const float *columns, int64_t n_rows, const int32_t *features,
               const float *thresholds, const uint8_t *missing_left, const float *leaves,
               int64_t n_trees, int64_t n_nodes, float *margins)
{
    float said[MAX_NODES][BLOCK];
    const int64_t first_above_leaves = n_nodes / 2;
    for (int64_t start = 0; start < n_rows; start += BLOCK) {
        const int64_t n = n_rows - start < BLOCK ? n_rows - start : BLOCK;
        const int32_t *feature = features;
        const float *thresholds_of = thresholds, *leaf = leaves;
        const uint8_t *missing = missing_left;
        for (int64_t tree = 0; tree < n_trees; tree++) {
            for (int64_t node = n_nodes - 1; node >= 0; node--) {
                const float *column = columns + feature[node] * n_rows + start;
                const float threshold = thresholds_of[node];
                const uint8_t *missing_left = missing;
                const int64_t child = 2 * node + 1;
                if (node >= first_above_leaves) {
                    const float left = leaf[child - n_nodes], right = leaf[child + 1 - n_nodes];
                    CHOOSE_BY_NODE(left, right);
                } else {
                    CHOOSE_BY_NODE(said[child][r], said[child + 1][r]);
                }
            }
            for (int64_t r = 0; r < n; r++) margins[start + r] += said[0][r];
            feature += n_nodes;
            thresholds_of += n_nodes;
            missing += n_nodes;
            leaf += n_nodes + 1;
        }
    }
}
