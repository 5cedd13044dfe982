/* A host whose disk becomes read-only and whose clock is set, for the processes that preload this.

   READ_ONLY_FOLDER, absolute: read-only while the file "read-only" is in it, also for files that are
   open, as ext4 is after an error (errors=remount-ro). A remount needs a moment in which nothing is
   open for writing.

   CLOCK_FILE: eight bytes, how many seconds the wall clock is ahead (a signed integer, this machine's
   order of bytes). Clocks that nobody can set, and waiting, are the kernel's own. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int is_below(const char *path) {
    const char *folder = getenv("READ_ONLY_FOLDER");
    size_t size = folder ? strlen(folder) : 0;
    return size && !strncmp(path, folder, size) && (path[size] == '/' || !path[size]);
}

static int is_on(void) {
    const char *folder = getenv("READ_ONLY_FOLDER");
    char flag[PATH_MAX];
    if (!folder || snprintf(flag, sizeof flag, "%s/read-only", folder) >= (int)sizeof flag) return 0;
    return !faccessat(AT_FDCWD, flag, F_OK, 0);
}

static int names_folder(int fd) {
    char link[40], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return is_below(path);
}

static int bars(int folder, const char *path) {
    int kept = errno, barred = 0;
    if (path) {
        char whole[PATH_MAX];
        if (*path == '/') barred = is_below(path);
        else if (folder != AT_FDCWD) barred = names_folder(folder);
        else if (getcwd(whole, sizeof whole)) barred = is_below(whole);
    }
    barred = barred && is_on();
    errno = barred ? EROFS : kept;
    return barred;
}

static int bars_fd(int fd) {
    int kept = errno, barred = is_on() && names_folder(fd);
    errno = barred ? EROFS : kept;
    return barred;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPENS(name, WORDS, CALL, CALL_MODE, folder)                                               \
    int name WORDS {                                                                              \
        mode_t mode = 0;                                                                          \
        if (flags & (O_CREAT | __O_TMPFILE)) {                                                    \
            va_list rest;                                                                         \
            va_start(rest, flags);                                                                \
            mode = va_arg(rest, mode_t);                                                          \
            va_end(rest);                                                                         \
        }                                                                                         \
        int writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;                          \
        int creates = flags & O_CREAT && faccessat(folder, path, F_OK, 0);                        \
        if ((writes || creates) && bars(folder, path)) return -1;                                 \
        return NEXT(name) CALL_MODE;                                                              \
    }
OPENS(open, (const char *path, int flags, ...), (path, flags), (path, flags, mode), AT_FDCWD)
OPENS(open64, (const char *path, int flags, ...), (path, flags), (path, flags, mode), AT_FDCWD)
OPENS(openat, (int folder, const char *path, int flags, ...), (folder, path, flags),
      (folder, path, flags, mode), folder)
OPENS(openat64, (int folder, const char *path, int flags, ...), (folder, path, flags),
      (folder, path, flags, mode), folder)

#define FAILS(type, name, WORDS, CALL, barred)                                                    \
    type name WORDS { return (barred) ? -1 : NEXT(name) CALL; }
FAILS(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size), bars_fd(fd))
FAILS(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at),
      bars_fd(fd))
FAILS(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at),
      (fd, data, size, at), bars_fd(fd))
FAILS(ssize_t, writev, (int fd, const struct iovec *data, int count), (fd, data, count),
      bars_fd(fd))
FAILS(int, ftruncate, (int fd, off_t size), (fd, size), bars_fd(fd))
FAILS(int, ftruncate64, (int fd, off64_t size), (fd, size), bars_fd(fd))
FAILS(int, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size),
      bars_fd(fd))
FAILS(int, fallocate64, (int fd, int mode, off64_t at, off64_t size), (fd, mode, at, size),
      bars_fd(fd))
FAILS(int, truncate, (const char *path, off_t size), (path, size), bars(AT_FDCWD, path))
FAILS(int, unlink, (const char *path), (path), bars(AT_FDCWD, path))
FAILS(int, unlinkat, (int folder, const char *path, int flags), (folder, path, flags),
      bars(folder, path))
FAILS(int, rmdir, (const char *path), (path), bars(AT_FDCWD, path))
FAILS(int, mkdir, (const char *path, mode_t mode), (path, mode), bars(AT_FDCWD, path))
FAILS(int, mkdirat, (int folder, const char *path, mode_t mode), (folder, path, mode),
      bars(folder, path))
FAILS(int, rename, (const char *old, const char *path), (old, path), bars(AT_FDCWD, path))
FAILS(int, renameat, (int from, const char *old, int folder, const char *path),
      (from, old, folder, path), bars(folder, path))
FAILS(int, link, (const char *old, const char *path), (old, path), bars(AT_FDCWD, path))
FAILS(int, symlink, (const char *old, const char *path), (old, path), bars(AT_FDCWD, path))
FAILS(int, chmod, (const char *path, mode_t mode), (path, mode), bars(AT_FDCWD, path))
FAILS(int, fchmod, (int fd, mode_t mode), (fd, mode), bars_fd(fd))

static const volatile int64_t *ahead_s;

__attribute__((constructor)) static void find_clock(void) {
    const char *path = getenv("CLOCK_FILE");
    int fd = path ? NEXT(open64)(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *found = mmap(NULL, sizeof *ahead_s, PROT_READ, MAP_SHARED, fd, 0);
    if (found != MAP_FAILED) ahead_s = found;
    close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static __typeof__(&clock_gettime) next;
    if (!next) next = NEXT(clock_gettime);
    int failed = next(clock, now);
    if (!failed && ahead_s && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += *ahead_s;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    int failed = clock_gettime(CLOCK_REALTIME, &exact);
    if (!failed) *now = (struct timeval){exact.tv_sec, exact.tv_nsec / 1000};
    return failed;
}

time_t time(time_t *now) {
    struct timespec exact;
    if (clock_gettime(CLOCK_REALTIME, &exact)) return -1;
    if (now) *now = exact.tv_sec;
    return exact.tv_sec;
}
