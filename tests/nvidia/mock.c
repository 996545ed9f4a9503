/* Stands in for NVIDIA's driver: the functions of libnvidia-ml.so.1 and libcuda.so.1 that the plugin calls, in one library.
 *
 * MOCK_NVIDIA names a file with a line for each GPU, in the order of bus addresses: UUID (32 digits, without hyphens),
 * total and free bytes. It is read at each call, so that a test can change it.
 * CUDA_VISIBLE_DEVICES (a list of numbers) does what it does to CUDA.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_GPUS 8
#define NOT_FOUND 6 /* NVML_ERROR_NOT_FOUND; for CUDA any value but 0 will do */

struct gpu {
    char uuid[33];
    unsigned long long total, free;
};

struct memory { /* nvmlMemory_v2_t */
    unsigned version;
    unsigned long long total, reserved, free, used;
};

static int read_gpus(struct gpu *gpus) {
    const char *path = getenv("MOCK_NVIDIA");
    FILE *file = path ? fopen(path, "r") : NULL;
    int count = 0;
    while (file && count < MAX_GPUS
           && fscanf(file, "%32s %llu %llu", gpus[count].uuid, &gpus[count].total, &gpus[count].free) == 3)
        count++;
    if (file)
        fclose(file);
    return count;
}

/* nvml.h */
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    struct gpu gpus[MAX_GPUS];
    *device = (void *)(size_t)(index + 1);
    return (int)index < read_gpus(gpus) ? 0 : NOT_FOUND;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    struct gpu gpus[MAX_GPUS];
    char digits[33] = "";
    int count = read_gpus(gpus), length = 0;
    if (strncmp(uuid, "GPU-", 4) != 0)
        return NOT_FOUND;
    for (uuid += 4; *uuid && length < 32; uuid++)
        if (*uuid != '-')
            digits[length++] = *uuid;
    for (int i = 0; i < count; i++)
        if (strcmp(gpus[i].uuid, digits) == 0)
            return nvmlDeviceGetHandleByIndex_v2(i, device);
    return NOT_FOUND;
}

int nvmlDeviceGetMemoryInfo_v2(void *device, struct memory *memory) {
    struct gpu gpus[MAX_GPUS];
    int index = (int)(size_t)device - 1;
    if (index >= read_gpus(gpus))
        return NOT_FOUND;
    memory->total = gpus[index].total;
    memory->reserved = 0;
    memory->free = gpus[index].free;
    memory->used = memory->total - memory->free;
    return 0;
}

/* cuda.h */
int cuInit(unsigned flags) { return (int)flags; }

int cuDeviceGet(int *device, int ordinal) {
    struct gpu gpus[MAX_GPUS];
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    int count = read_gpus(gpus);
    *device = ordinal;
    while (visible && ordinal > 0) {
        visible = strchr(visible, ',');
        visible = visible ? visible + 1 : "none";
        ordinal--;
    }
    if (visible && sscanf(visible, "%d", device) != 1)
        return NOT_FOUND;
    return *device < count ? 0 : NOT_FOUND;
}

int cuDeviceGetUuid_v2(unsigned char *uuid, int device) {
    struct gpu gpus[MAX_GPUS];
    if (device >= read_gpus(gpus))
        return NOT_FOUND;
    for (int i = 0; i < 16; i++)
        if (sscanf(gpus[device].uuid + 2 * i, "%2hhx", &uuid[i]) != 1)
            return NOT_FOUND;
    return 0;
}
