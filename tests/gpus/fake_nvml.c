/* A stand-in for libnvidia-ml.so.1. It answers from a text file, read anew at every call: $FAKE_NVML_STATE, else /etc/fake-nvml.
   nvml_state.py describes and writes the file. Without the file there is no driver. Numbers and structs are those of nvml.h. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long u64;
enum { UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
       DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15, VERSION_MISMATCH = 25, UNKNOWN = 999 };
enum { GPUS = 32, SLOTS = 8, PROCESSES = 64 };

/* The numbers of a GPU: a line "NAME VALUE" sets one. `index` is its place on the host, error an nvmlReturn_t for every question. */
#define NUMBERS X(index) X(error) X(memory) X(other_memory) X(throttle) X(temperature) X(clock) X(max_clock) X(utilization) \
    X(power) X(major) X(minor) X(ecc) X(ecc_errors) X(compute_mode) X(persistence) X(split)
struct process { unsigned pid, graphics, part; u64 bytes; };
struct part { char uuid[96]; u64 memory; };                         /* a MIG instance; an empty slot has no UUID */
struct gpu {
    char uuid[96], name[96];
#define X(number) u64 number;
    NUMBERS
#undef X
    struct part parts[SLOTS];
    struct process processes[PROCESSES];
    unsigned running;
};
struct memory { u64 total, free, used; };                           /* nvmlMemory_t and so on */
struct memory_v2 { unsigned version; u64 total, reserved, free, used; };
struct temperature_v1 { unsigned version, sensor; int temperature; };
struct rates { unsigned gpu, memory; };
struct entry { unsigned pid; u64 bytes; unsigned gpu_instance, compute_instance; };
static __thread struct world { char driver[96]; u64 cuda, error; unsigned count; struct gpu gpus[GPUS]; } world;
static int users;

static int alive(unsigned pid) {                                    /* a zombie is not */
    char path[64], state = 'Z';
    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    if (fscanf(file, "%*u (%*[^)]) %c", &state) != 1) state = 'Z';
    fclose(file);
    return state != 'Z' && state != 'X';
}

static void take(const char *key, const char *rest, unsigned *part) {
    struct gpu *gpu = world.count ? &world.gpus[world.count - 1] : NULL;
    struct process found = {0, 0, 0, 0};
    char kind[16];
    unsigned slot;
    if (!strcmp(key, "driver")) sscanf(rest, "%95s %llu", world.driver, &world.cuda);
    else if (!strcmp(key, "driver_error")) sscanf(rest, "%llu", &world.error);
    else if (!strcmp(key, "gpu") && world.count < GPUS) {
        sscanf(rest, "%95s", world.gpus[world.count++].uuid);
        *part = SLOTS;
    } else if (!gpu) return;
    else if (!strcmp(key, "name")) sscanf(rest, "%95[^\n]", gpu->name);
    else if (!strcmp(key, "mig") && sscanf(rest, "%u", &slot) == 1 && slot < SLOTS) {
        sscanf(rest, "%*u %95s %llu", gpu->parts[slot].uuid, &gpu->parts[slot].memory);
        *part = slot;                                               /* the processes that follow are its own */
    } else if (!strcmp(key, "process") && gpu->running < PROCESSES) {
        if (sscanf(rest, "%u %llu %15s", &found.pid, &found.bytes, kind) != 3) return;
        if (!strcmp(kind, "container") && !alive(found.pid)) return;
        found.graphics = !strcmp(kind, "graphics");
        found.part = *part;
        gpu->processes[gpu->running++] = found;
    }
#define X(number) else if (!strcmp(key, #number)) sscanf(rest, "%llu", &gpu->number);
    NUMBERS
#undef X
}

static int read_world(void) {
    const char *path = getenv("FAKE_NVML_STATE");
    char line[256], key[32];
    unsigned part = SLOTS;
    FILE *file = fopen(path ? path : "/etc/fake-nvml", "r");
    memset(&world, 0, sizeof world);
    if (!file) return DRIVER_NOT_LOADED;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "%31s", key) == 1) take(key, line + strspn(line, " ") + strlen(key) + 1, &part);
    fclose(file);
    return (int)world.error;
}

static int answer(void) { return users ? read_world() : UNINITIALIZED; }

/* A handle is 16 * (place + 1), and for a MIG instance the number of its slot + 1 more. */
static void *handle(unsigned place, unsigned part) { return (void *)(uintptr_t)(16 * (place + 1) + (part < SLOTS ? part + 1 : 0)); }

static int find(void *device, struct gpu **gpu, struct part **part) {
    uintptr_t number = (uintptr_t)device, place = number / 16 - 1;
    int error = answer();
    if (error) return error;
    if (number < 16 || place >= world.count || number % 16 > SLOTS) return INVALID_ARGUMENT;
    *gpu = &world.gpus[place];
    *part = number % 16 ? &(*gpu)->parts[number % 16 - 1] : NULL;
    if (*part && !(*part)->uuid[0]) return NOT_FOUND;               /* the instance was destroyed */
    return (int)(*gpu)->error;
}
#define FIND struct gpu *gpu; struct part *part; int error = find(device, &gpu, &part); if (error) return error; (void)part
#define WHOLE FIND; if (part) return NOT_SUPPORTED
#define NUMBER(name, type, value) int name(void *device, type *out) { WHOLE; *out = (type)(value); return 0; }
#define TEXT(text) (snprintf(out, size, "%s", text) >= (int)size ? INSUFFICIENT_SIZE : 0)

int nvmlInit_v2(void) { int error = read_world(); users += !error; return error; }
int nvmlInit(void) { return nvmlInit_v2(); }
int nvmlInitWithFlags(unsigned flags) { (void)flags; return nvmlInit_v2(); }
int nvmlShutdown(void) { if (!users) return UNINITIALIZED; users--; return 0; }
const char *nvmlErrorString(int error) {
    switch (error) {
    case 0: return "Success";
    case UNINITIALIZED: return "Uninitialized";
    case INVALID_ARGUMENT: return "Invalid Argument";
    case NOT_SUPPORTED: return "Not Supported";
    case NOT_FOUND: return "Not Found";
    case INSUFFICIENT_SIZE: return "Insufficient Size";
    case DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case GPU_IS_LOST: return "GPU is lost";
    case 18: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}
int nvmlSystemGetDriverVersion(char *out, unsigned size) { int error = answer(); return error ? error : TEXT(world.driver); }
int nvmlSystemGetCudaDriverVersion(int *out) { int error = answer(); *out = (int)world.cuda; return error; }
int nvmlSystemGetCudaDriverVersion_v2(int *out) { return nvmlSystemGetCudaDriverVersion(out); }

int nvmlDeviceGetCount_v2(unsigned *out) { int error = answer(); *out = world.count; return error; }
int nvmlDeviceGetCount(unsigned *out) { return nvmlDeviceGetCount_v2(out); }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **out) {
    int error = answer();
    if (error) return error;
    if (index >= world.count) return INVALID_ARGUMENT;
    *out = handle(index, SLOTS);
    return (int)world.gpus[index].error;
}
int nvmlDeviceGetHandleByIndex(unsigned index, void **out) { return nvmlDeviceGetHandleByIndex_v2(index, out); }
/* The driver asks one GPU after another for its UUID, so one that is lost hides those behind it ("if any GPU has fallen off"). */
int nvmlDeviceGetHandleByUUID(const char *uuid, void **out) {
    int error = answer();
    for (unsigned i = 0; !error && i < world.count; i++) {
        if (world.gpus[i].error) return (int)world.gpus[i].error;
        if (!strcmp(world.gpus[i].uuid, uuid)) { *out = handle(i, SLOTS); return 0; }
        for (unsigned slot = 0; slot < SLOTS; slot++)
            if (uuid[0] && !strcmp(world.gpus[i].parts[slot].uuid, uuid)) { *out = handle(i, slot); return 0; }
    }
    return error ? error : NOT_FOUND;
}
int nvmlDeviceGetUUID(void *device, char *out, unsigned size) { FIND; return TEXT(part ? part->uuid : gpu->uuid); }
int nvmlDeviceGetName(void *device, char *out, unsigned size) {
    char name[128];
    FIND;
    snprintf(name, sizeof name, part ? "%s MIG" : "%s", gpu->name);
    return TEXT(name);
}
int nvmlDeviceGetIndex(void *device, unsigned *out) {
    FIND;
    *out = part ? (unsigned)(part - gpu->parts) : (unsigned)(gpu - world.gpus);
    return 0;
}

static u64 used(const struct gpu *gpu, const struct part *part) {
    u64 sum = part ? 0 : gpu->other_memory;
    for (unsigned i = 0; i < gpu->running; i++)
        if (!part || gpu->processes[i].part == part - gpu->parts) sum += gpu->processes[i].bytes;
    return sum;
}
int nvmlDeviceGetMemoryInfo(void *device, struct memory *out) {
    FIND;
    out->total = part ? part->memory : gpu->memory;
    out->used = used(gpu, part);
    out->free = out->total - out->used;
    return 0;
}
int nvmlDeviceGetMemoryInfo_v2(void *device, struct memory_v2 *out) {
    FIND;
    if (out->version != 0x02000028) return VERSION_MISMATCH;
    out->total = part ? part->memory : gpu->memory;
    out->reserved = 0;
    out->used = used(gpu, part);
    out->free = out->total - out->used;
    return 0;
}

/* Of a GPU that is split: the processes of all instances, as an administrator sees them. `size` is that of the struct asked for. */
static int list(void *device, unsigned *count, char *out, size_t size, unsigned graphics) {
    unsigned room = *count, found = 0;
    FIND;
    for (unsigned i = 0; i < gpu->running; i++) {
        struct process *one = &gpu->processes[i];
        struct entry entry = {one->pid, one->bytes, ~0u, ~0u};
        if (one->graphics != graphics || (part && one->part != part - gpu->parts)) continue;
        if (one->part < SLOTS) entry.gpu_instance = one->part + 1, entry.compute_instance = 0;
        if (found < room && out) memcpy(out + size * found, &entry, size);
        found++;
    }
    *count = found;
    return found > room ? INSUFFICIENT_SIZE : 0;
}
#define LISTS(kind, graphics) \
    int nvmlDeviceGet##kind##RunningProcesses(void *device, unsigned *count, void *out) { return list(device, count, out, 16, graphics); } \
    int nvmlDeviceGet##kind##RunningProcesses_v2(void *device, unsigned *count, void *out) { return list(device, count, out, 24, graphics); } \
    int nvmlDeviceGet##kind##RunningProcesses_v3(void *device, unsigned *count, void *out) { return list(device, count, out, 24, graphics); }
LISTS(Compute, 0)
LISTS(Graphics, 1)

int nvmlDeviceGetMigMode(void *device, unsigned *now, unsigned *pending) {
    WHOLE;
    if (gpu->major < 8) return NOT_SUPPORTED;
    *now = *pending = (unsigned)gpu->split;
    return 0;
}
int nvmlDeviceIsMigDeviceHandle(void *device, unsigned *out) { FIND; *out = part != NULL; return 0; }
int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned index, void **out) {
    WHOLE;
    if (index >= SLOTS) return INVALID_ARGUMENT;
    if (!gpu->split || !gpu->parts[index].uuid[0]) return NOT_FOUND;
    *out = handle((unsigned)(gpu - world.gpus), index);
    return 0;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *device, void **out) {
    FIND;
    if (!part) return INVALID_ARGUMENT;
    *out = handle((unsigned)(gpu - world.gpus), SLOTS);
    return 0;
}
NUMBER(nvmlDeviceGetMaxMigDeviceCount, unsigned, gpu->major < 8 ? 0 : 7)
NUMBER(nvmlDeviceGetMinorNumber, unsigned, gpu->index)
NUMBER(nvmlDeviceGetCurrentClocksThrottleReasons, u64, gpu->throttle)
NUMBER(nvmlDeviceGetCurrentClocksEventReasons, u64, gpu->throttle)
NUMBER(nvmlDeviceGetSupportedClocksThrottleReasons, u64, 0x1ff)
NUMBER(nvmlDeviceGetSupportedClocksEventReasons, u64, 0x1ff)
NUMBER(nvmlDeviceGetPowerUsage, unsigned, gpu->power)
NUMBER(nvmlDeviceGetComputeMode, unsigned, gpu->compute_mode)
NUMBER(nvmlDeviceGetPersistenceMode, unsigned, gpu->persistence)

int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) {
    FIND;
    *major = (int)gpu->major, *minor = (int)gpu->minor;
    return 0;
}
int nvmlDeviceGetEccMode(void *device, unsigned *now, unsigned *pending) { WHOLE; *now = *pending = (unsigned)gpu->ecc; return 0; }
int nvmlDeviceGetTotalEccErrors(void *device, unsigned uncorrected, unsigned lifetime, u64 *out) {
    (void)lifetime;
    WHOLE;
    if (!gpu->ecc) return NOT_SUPPORTED;
    *out = uncorrected ? gpu->ecc_errors : 0;
    return 0;
}
int nvmlDeviceGetTemperature(void *device, unsigned sensor, unsigned *out) { (void)sensor; WHOLE; *out = (unsigned)gpu->temperature; return 0; }
int nvmlDeviceGetTemperatureV(void *device, struct temperature_v1 *out) {
    WHOLE;
    if (out->version != 0x100000C) return VERSION_MISMATCH;
    out->temperature = (int)gpu->temperature;
    return 0;
}
int nvmlDeviceGetTemperatureThreshold(void *device, unsigned which, unsigned *out) { WHOLE; *out = which ? 87 : 92; return 0; } /* 0: shutdown, 1: slowdown */
int nvmlDeviceGetClockInfo(void *device, unsigned type, unsigned *out) { (void)type; WHOLE; *out = (unsigned)gpu->clock; return 0; }
int nvmlDeviceGetMaxClockInfo(void *device, unsigned type, unsigned *out) { (void)type; WHOLE; *out = (unsigned)gpu->max_clock; return 0; }
int nvmlDeviceGetUtilizationRates(void *device, struct rates *out) {
    WHOLE;
    if (gpu->split) return NOT_SUPPORTED;
    out->gpu = (unsigned)gpu->utilization, out->memory = 0;
    return 0;
}
