/* What the CUDA runtime takes to make a GPU usable, and nothing else: the floor under the daemon's
 * start. Prints milliseconds. */
#include <cuda_runtime_api.h>
#include <stdio.h>

#include "base/clock.h"

int main(void)
{
    uint64_t start = tkv_now_ns();
    cudaError_t err = cudaFree(NULL); /* makes the context */
    if (err != cudaSuccess) {
        fprintf(stderr, "bench_cuda_init: %s\n", cudaGetErrorString(err));
        return 1;
    }
    printf("%.1f\n", (double)(tkv_now_ns() - start) / 1e6);
    return 0;
}
