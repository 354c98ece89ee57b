/* An NVIDIA GPU as far as candle can see: driver, cuBLAS and cuRAND in one library, whose kernels run on the CPU. It knows the
   kernels that the model needs, by the names and arguments that candle's own have (candle-kernels), and nothing else: what else is
   asked for is an error. How fast a GPU would be, and what its own kernels compute, it cannot say.

   DEVICE_FAILS is what happens after DEVICE_AFTER operations: `lost` (each call fails, as with a real one until its last context
   is released), `memory` (allocations fail), `nan` (matrices are no numbers), `hangs` (for three seconds).
   DEVICE_REPORT is a file for what was done, written when the process ends. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef uint64_t u64;
enum { INVALID = 1, OUT_OF_MEMORY = 2, INVALID_DEVICE = 101, INVALID_IMAGE = 200, NOT_FOUND = 500, LAUNCH_FAILED = 719 };
enum { ADD, SUB, MUL, DIV, MINIMUM, MAXIMUM, RELU, ABS, SQR, SQRT, SIGN, COPY, AFFINE, SUM, SUM_SMALL, COPY2D };
static const char *const KERNELS[] = {
    "badd_f32", "bsub_f32", "bmul_f32", "bdiv_f32", "bminimum_f32", "bmaximum_f32", "urelu_f32", "uabs_f32", "usqr_f32",
    "usqrt_f32", "usign_f32", "ucopy_f32", "affine_f32", "fast_sum_f32", "fast_sum_small_f32", "copy2d_f32",
};
static const u64 TOTAL = 8ull << 30;

static const char *fails = "";
static u64 after, operations, matrices, live, reserved, peak, events;
static int lost, contexts;

__attribute__((constructor)) static void begin(void) {
    const char *how = getenv("DEVICE_FAILS"), *when = getenv("DEVICE_AFTER");
    fails = how ? how : "";
    after = when ? strtoull(when, 0, 10) : 0;
}

__attribute__((destructor)) static void end(void) {
    const char *path = getenv("DEVICE_REPORT");
    FILE *file = path ? fopen(path, "w") : 0;
    if (!file) return;
    fprintf(file, "{\"operations\":%lu,\"matrices\":%lu,\"peak\":%lu,\"events\":%lu,\"contexts\":%d}", operations, matrices,
            peak, events, contexts);
    fclose(file);
}

static int failing(const char *how) { return operations > after && !strcmp(fails, how); }

/* As on a GPU, what went wrong is said by a later call. */
static void operate(void) {
    operations++;
    if (failing("lost")) lost = LAUNCH_FAILED;
    if (failing("hangs") && operations == after + 1) sleep(3);
}

int cuInit(unsigned flags) { return 0; }
int cuDeviceGetCount(int *count) { *count = 2; return 0; }
int cuDeviceGet(int *device, int number) { *device = number; return number < 0 || number > 1 ? INVALID_DEVICE : 0; }
int cuDeviceGetName(char *name, int length, int device) { snprintf(name, length, "Stand-in %d", device); return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) { *value = 1; return 0; }
int cuDeviceTotalMem_v2(u64 *bytes, int device) { *bytes = TOTAL; return 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) {
    contexts++;
    *context = (void *)(u64)(device + 1);
    return lost;
}
int cuDevicePrimaryCtxRelease_v2(int device) {
    if (!--contexts) lost = 0, fails = "";
    return 0;
}
static _Thread_local void *current;
int cuCtxSetCurrent(void *context) { current = context; return lost; }
int cuCtxGetCurrent(void **context) { *context = current; return 0; }
static int synchronize(void) { reserved = live; return lost; }
int cuCtxSynchronize(void) { return synchronize(); }
int cuStreamCreate(void **stream, unsigned flags) { *stream = (void *)16; return lost; }
int cuStreamDestroy_v2(void *stream) { return lost; }
int cuStreamSynchronize(void *stream) { return synchronize(); }
int cuStreamWaitEvent(void *stream, void *event, unsigned flags) { return lost; }
int cuEventCreate(void **event, unsigned flags) { *event = (void *)32; return lost; }
int cuEventDestroy_v2(void *event) { return lost; }
int cuEventRecord(void *event, void *stream) { events++; return lost; }
int cuEventSynchronize(void *event) { return synchronize(); }
int cuEventElapsedTime_v2(float *milliseconds, void *from, void *to) { *milliseconds = 1; return lost; }
int cuEventElapsedTime(float *milliseconds, void *from, void *to) { *milliseconds = 1; return lost; }

/* What is freed stays with the process until it is waited for, as with the driver's pool. */
int cuMemGetInfo_v2(u64 *unused, u64 *total) { *unused = TOTAL - reserved; *total = TOTAL; return lost; }
int cuMemAllocAsync(u64 *pointer, u64 bytes, void *stream) {
    if (lost) return lost;
    if (!bytes) return INVALID;
    if (failing("memory")) return OUT_OF_MEMORY;
    u64 *block = malloc(bytes + 16);
    if (!block) return OUT_OF_MEMORY;
    /* What was not written is no number: whoever reads it is found out. */
    memset(block + 2, 0xff, bytes);
    *block = bytes;
    *pointer = (u64)(block + 2);
    live += bytes;
    if (reserved < live) reserved = live;
    if (peak < live) peak = live;
    return 0;
}
int cuMemFreeAsync(u64 pointer, void *stream) {
    if (!pointer) return INVALID;
    u64 *block = (u64 *)pointer - 2;
    live -= *block;
    free(block);
    return lost;
}
int cuMemsetD8Async(u64 to, unsigned char value, u64 bytes, void *stream) {
    if (!lost) memset((void *)to, value, bytes);
    return lost;
}
static int copy(u64 to, u64 from, u64 bytes) {
    if (!lost) memcpy((void *)to, (void *)from, bytes);
    return lost;
}
int cuMemcpyHtoDAsync_v2(u64 to, const void *from, u64 bytes, void *stream) { return copy(to, (u64)from, bytes); }
int cuMemcpyDtoHAsync_v2(void *to, u64 from, u64 bytes, void *stream) { return copy((u64)to, from, bytes) | synchronize(); }
int cuMemcpyDtoDAsync_v2(u64 to, u64 from, u64 bytes, void *stream) { return copy(to, from, bytes); }

struct module {
    char *image;
    char has[COPY2D + 1];
};
int cuModuleLoadData(void **module, const void *image) {
    if (lost) return lost;
    /* What the compiler of CUDA wrote, for the driver to compile. */
    if (!strstr(image, ".target sm_80")) return INVALID_IMAGE;
    struct module *made = calloc(1, sizeof *made);
    made->image = strdup(image);
    *module = made;
    return 0;
}
int cuModuleUnload(struct module *module) {
    free(module->image);
    free(module);
    return lost;
}
int cuModuleGetFunction(void **function, struct module *module, const char *name) {
    char entry[64];
    snprintf(entry, sizeof entry, ".entry %s(", name);
    for (u64 kernel = 0; kernel <= COPY2D; kernel++) {
        if (strcmp(KERNELS[kernel], name)) continue;
        *function = (void *)(kernel + 1);
        /* The source is long, and it is asked for each time. */
        if (module->has[kernel] || strstr(module->image, entry)) return module->has[kernel] = 1, lost;
    }
    fprintf(stderr, "no kernel %s\n", name);
    return NOT_FOUND;
}

static u64 place(u64 index, u64 rank, const u64 *sizes, const u64 *strides) {
    u64 at = 0;
    for (u64 d = rank; d-- > 0; index /= sizes[d]) at += index % sizes[d] * strides[d];
    return at;
}
static float two(u64 kernel, float x, float y) {
    switch (kernel) {
    case ADD: return x + y;
    case SUB: return x - y;
    case MUL: return x * y;
    case DIV: return x / y;
    case MINIMUM: return fminf(x, y);
    default: return fmaxf(x, y);
    }
}
static float one(u64 kernel, float x) {
    switch (kernel) {
    case RELU: return fmaxf(x, 0);
    case ABS: return fabsf(x);
    case SQR: return x * x;
    case SQRT: return sqrtf(x);
    case SIGN: return (x > 0) - (x < 0);
    default: return x;
    }
}
int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   void *stream, void **arguments, void **extra) {
    if (lost) return lost;
    u64 kernel = (u64)function - 1;
    if (!gx || !bx || bx > 1024 || gy * gz * by * bz != 1) return INVALID;
    operate();
#define GIVEN(type, index) (*(type *)arguments[index])
    if (kernel == COPY2D) {
        float *from = GIVEN(float *, 0), *to = GIVEN(float *, 1);
        uint32_t rows = GIVEN(uint32_t, 2), columns = GIVEN(uint32_t, 3), of = GIVEN(uint32_t, 4), into = GIVEN(uint32_t, 5);
        for (uint32_t row = 0; row < rows; row++) memcpy(to + (u64)row * into, from + (u64)row * of, columns * 4ull);
        return 0;
    }
    if (kernel == SUM || kernel == SUM_SMALL) {
        u64 count = kernel == SUM ? gx : GIVEN(u64, 0), each = GIVEN(u64, 1), rank = GIVEN(u64, 2), *shape = GIVEN(u64 *, 3);
        float *from = GIVEN(float *, 4), *to = GIVEN(float *, 5);
        for (u64 index = 0; index < count; index++) {
            float sum = 0;
            for (u64 i = index * each; i < (index + 1) * each; i++) sum += from[place(i, rank, shape, shape + rank)];
            to[index] = sum;
        }
        return 0;
    }
    u64 count = GIVEN(u64, 0), rank = GIVEN(u64, 1), *shape = GIVEN(u64 *, 2);
    if ((u64)gx * bx < count) return INVALID;
    float *first = GIVEN(float *, 3);
    for (u64 i = 0; i < count; i++) {
        u64 at = shape ? place(i, rank, shape, shape + rank) : i;
        if (kernel <= MAXIMUM)
            GIVEN(float *, 5)[i] = two(kernel, first[at], GIVEN(float *, 4)[shape ? place(i, rank, shape, shape + 2 * rank) : i]);
        else if (kernel == AFFINE)
            GIVEN(float *, 4)[i] = first[at] * GIVEN(float, 5) + GIVEN(float, 6);
        else
            GIVEN(float *, 4)[i] = one(kernel, first[at]);
    }
    return 0;
}

static int say(const char **said) { *said = "what the driver says"; return 0; }
int cuGetErrorName(int error, const char **said) { return say(said); }
int cuGetErrorString(int error, const char **said) { return say(said); }

/* Both libraries need the device to give back what they have, and the bindings panic when they cannot. */
int cublasCreate_v2(void **handle) { *handle = (void *)64; return lost ? 14 : 0; }
int cublasDestroy_v2(void *handle) { return lost ? 14 : 0; }
int cublasSetStream_v2(void *handle, void *stream) { return lost ? 14 : 0; }
int curandCreateGenerator(void **generator, int type) { *generator = (void *)128; return lost ? 203 : 0; }
int curandDestroyGenerator(void *generator) { return lost ? 203 : 0; }
int curandSetStream(void *generator, void *stream) { return lost ? 203 : 0; }
int curandSetPseudoRandomGeneratorSeed(void *generator, u64 seed) { return lost ? 203 : 0; }

/* Matrices column by column, of single precision (CUDA_R_32F) throughout (CUBLAS_COMPUTE_32F). */
int cublasGemmStridedBatchedEx(void *handle, int ta, int tb, int m, int n, int k, const float *alpha, const float *a, int a_type,
                               int lda, long long a_step, const float *b, int b_type, int ldb, long long b_step,
                               const float *beta, float *c, int c_type, int ldc, long long c_step, int batch, int compute,
                               int algorithm) {
    if (lost) return 13;
    if (compute != 68 || a_type || b_type || c_type || ta > 1 || tb > 1) return 15;
    if (lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m || m < 1 || n < 1 || k < 1 || batch < 1) return 7;
    operate();
    matrices++;
    for (int one = 0; one < batch; one++, a += a_step, b += b_step, c += c_step)
        for (long j = 0; j < n; j++)
            for (long i = 0; i < m; i++) {
                float sum = 0;
                for (long l = 0; l < k; l++) sum += (ta ? a[i * lda + l] : a[l * lda + i]) * (tb ? b[l * ldb + j] : b[j * ldb + l]);
                c[j * ldc + i] = failing("nan") ? NAN : *alpha * sum + (*beta != 0 ? *beta * c[j * ldc + i] : 0);
            }
    return 0;
}
