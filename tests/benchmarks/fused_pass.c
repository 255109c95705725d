/* The floor: one fused pass over logits for the largest one, its place and the sum of exp. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* exp for x <= 0 by 2^n * polynomial: simple enough for the compiler to vectorise. */
static inline float fast_exp(float x) {
    x = x < -87.0f ? -87.0f : x;
    float t = x * 1.44269504f;
    float n = __builtin_rintf(t);
    float f = (t - n) * 0.69314718f;
    float p = 1.0f + f * (1.0f + f * (0.5f + f * (0.16666667f + f * (0.041666667f + f * 0.0083333333f))));
    int32_t bits = ((int32_t)n + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

void fused_pass(const _Float16 *logits, size_t n_items, size_t n_classes, float inverse,
                int32_t *top1, float *confidence) {
    float row[65536];
    for (size_t i = 0; i < n_items; i++) {
        const _Float16 *z = logits + i * n_classes;
        float highest = -INFINITY, total = 0.0f;
        for (size_t j = 0; j < n_classes; j++) row[j] = (float)z[j];
        for (size_t j = 0; j < n_classes; j++) highest = row[j] > highest ? row[j] : highest;
        int32_t top = -1;
        for (size_t j = 0; j < n_classes; j++) if (row[j] == highest) { top = (int32_t)j; break; }
        for (size_t j = 0; j < n_classes; j++) total += fast_exp((row[j] - highest) * inverse);
        top1[i] = top;
        confidence[i] = 1.0f / total;
    }
}
