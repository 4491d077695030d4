/*
 * Faults from below: preloaded into a database's process (LD_PRELOAD), makes writes to its files fail.
 *
 * FAULTS_FOLDER names the folder whose files are affected, FAULTS_CONTROL a file of one `struct control`, which the
 * test changes while the process runs, and FAULTS_SEED a number. A write may be cut short before it fails, as on a real
 * disk. `room` is the space that is left: what would make a file longer fails with ENOSPC when it is used up.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct control {
  _Atomic uint32_t write_ppm;    /* of a million writes, how many fail with EIO or ENOSPC */
  _Atomic uint32_t sync_ppm;     /* of a million fsyncs, how many fail with EIO */
  _Atomic uint32_t truncate_ppm; /* of a million truncations, how many fail with EIO */
  uint32_t unused;
  _Atomic int64_t room;      /* bytes by which files may still grow */
  _Atomic uint64_t injected; /* how many calls have failed */
};

static struct control *control;
static char folder[PATH_MAX];
static size_t folder_length;
static uint64_t seed;
static __thread uint64_t state;

__attribute__((constructor)) static void start(void) {
  const char *file = getenv("FAULTS_CONTROL"), *at = getenv("FAULTS_FOLDER"), *number = getenv("FAULTS_SEED");
  if (file == NULL || at == NULL || realpath(at, folder) == NULL) return;
  folder_length = strlen(folder);
  seed = number == NULL ? 1 : strtoull(number, NULL, 10);
  int fd = open(file, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped != MAP_FAILED) control = mapped;
}

/* xorshift64*, one a thread */
static uint32_t draw(void) {
  if (state == 0) state = (seed ^ ((uint64_t)syscall(SYS_gettid) << 20)) * 0x9E3779B97F4A7C15ull | 1;
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return (uint32_t)((state * 0x2545F4914F6CDD1Dull) >> 32);
}

static int is_affected(int fd) {
  if (control == NULL) return 0;
  int before = errno;
  char link[32], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  errno = before;
  return length > (ssize_t)folder_length && memcmp(path, folder, folder_length) == 0 && path[folder_length] == '/';
}

static int fails(uint32_t ppm) { return ppm > 0 && draw() % 1000000 < ppm; }

static int refuse(int error) {
  atomic_fetch_add(&control->injected, 1);
  errno = error;
  return -1;
}

/* Takes what a write up to `end` makes the file longer by from the room that is left. */
static int has_room(int fd, int64_t end) {
  struct stat now;
  if (atomic_load(&control->room) == INT64_MAX || fstat(fd, &now) != 0 || end <= now.st_size) return 1;
  int64_t growth = end - now.st_size;
  if (atomic_fetch_sub(&control->room, growth) >= growth) return 1;
  atomic_fetch_add(&control->room, growth);
  return 0;
}

/* Whether a write is to go ahead; otherwise errno is set. `*length` may be cut: that much is on the disk all the same. */
static int may_write(int fd, int64_t offset, size_t *length) {
  if (!has_room(fd, offset + (int64_t)*length)) {
    *length = 0;
    return refuse(ENOSPC) == 0;
  }
  if (fails(atomic_load(&control->write_ppm))) {
    uint32_t how = draw();
    *length = how & 1 ? *length / 2 : 0;
    return refuse(how & 2 ? EIO : ENOSPC) == 0;
  }
  return 1;
}

#define REAL(name, type, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

static ssize_t write_at(int fd, const void *bytes, size_t length, off_t offset) {
  size_t allowed = length;
  if (!is_affected(fd) || may_write(fd, offset, &allowed)) return syscall(SYS_pwrite64, fd, bytes, length, offset);
  int error = errno;
  if (allowed > 0) syscall(SYS_pwrite64, fd, bytes, allowed, offset);
  errno = error;
  return -1;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return write_at(fd, bytes, length, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) { return write_at(fd, bytes, length, offset); }

ssize_t write(int fd, const void *bytes, size_t length) {
  size_t allowed = length;
  if (!is_affected(fd) || may_write(fd, lseek(fd, 0, SEEK_CUR), &allowed)) return syscall(SYS_write, fd, bytes, length);
  return -1;
}

static ssize_t write_vector(int fd, const struct iovec *parts, int count, off_t offset) {
  size_t length = 0;
  for (int n = 0; n < count; n++) length += parts[n].iov_len;
  if (is_affected(fd) && !may_write(fd, offset, &length)) return -1;
  return REAL("pwritev", ssize_t, int, const struct iovec *, int, off_t)(fd, parts, count, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  return write_vector(fd, parts, count, offset);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) {
  return write_vector(fd, parts, count, offset);
}

static int allocate(int fd, off_t offset, off_t length) {
  if (is_affected(fd) && !has_room(fd, offset + length)) {
    refuse(ENOSPC);
    return ENOSPC;
  }
  return REAL("posix_fallocate", int, int, off_t, off_t)(fd, offset, length);
}

int posix_fallocate(int fd, off_t offset, off_t length) { return allocate(fd, offset, length); }
int posix_fallocate64(int fd, off_t offset, off_t length) { return allocate(fd, offset, length); }

int fsync(int fd) {
  if (is_affected(fd) && fails(atomic_load(&control->sync_ppm))) return refuse(EIO);
  return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
  if (is_affected(fd) && fails(atomic_load(&control->sync_ppm))) return refuse(EIO);
  return (int)syscall(SYS_fdatasync, fd);
}

static int truncate_to(int fd, off_t length) {
  if (is_affected(fd) && fails(atomic_load(&control->truncate_ppm))) return refuse(EIO);
  return (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate(int fd, off_t length) { return truncate_to(fd, length); }
int ftruncate64(int fd, off_t length) { return truncate_to(fd, length); }
