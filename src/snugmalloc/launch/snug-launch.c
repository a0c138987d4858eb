/* snug-launch - starts a program, waits for it, reports what it cost, and ends as it ended.
 *
 *     snug-launch [-e NAME=VALUE]... [-f FD] [-t FD] [-n] [-k] [-a WORD]... -- PROGRAM [ARGUMENT]...
 *
 *     -e NAME=VALUE  add to the program's environment, not to this process's own
 *     -f FD          write the figures to this descriptor, a line `name value` each; the program does not get it
 *     -t FD          write each reading of the resident memory to this descriptor at once, a line of the nanoseconds
 *                    since the start and the bytes; the program does not get it
 *     -n             do not trace: the resident memory at exit stays unknown
 *     -k             end the program, by SIGTERM, when the process that started this one is gone
 *     -a WORD        one word of a command that takes this process's place when the program has ended (it reads
 *                    FD, and ignores SIGINT); without it this process exits with the program's status or dies of the
 *                    same signal
 *
 * Why a program of its own, and in C: the peak that wait4 reports of a child includes the process that forked it, as
 * it was before exec. A Python interpreter would put its own 20 MB under every figure; this stays near 1 MB, also
 * in a small container beside a service that runs for months.
 *
 * The resident memory at exit is read from /proc/PID/smaps_rollup at the moment the program ends (PTRACE_O_TRACEEXIT,
 * seized, so that exec and clone do not stop). It costs the program a stop per signal it receives and one at its
 * end, whose time is taken off the wall time. Only the program's own process is traced, none of its children; a traced
 * process cannot be traced by another debugger, and set-user-id programs that it executes in its own place run without
 * their privilege. Where tracing is not permitted the figure is left out.
 *
 * The mean over time is made of readings of /proc/PID/statm, every 5 ms, and of the one at exit: between two of them
 * the memory is taken to have changed evenly. It is the program's own process too: the resident bytes of several would
 * count what they share more than once, and the mean could be above the peak. Of a program that ends sooner than 5 ms
 * the mean is what it held at its exit; if that is not known either it is left out. A reading takes no lock of the
 * program, and does not stop it.
 *
 * Signals: all are blocked here and taken one by one. Those that a process sent are handed to the program; those that
 * the terminal made are not, since the terminal sent them to the whole foreground group. When the program is
 * stopped by job control this process stops too, so that the shell sees it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif

enum { NOT_STARTED = 127, NOT_EXECUTABLE = 126, BAD_USAGE = 2, MOST_WORDS = 64 };

#define SECOND 1000000000LL     /* in nanoseconds */
#define PERIOD (5 * SECOND / 1000)

/* The resident memory over time: the area under it, from `start` to the last reading. */
typedef struct {
    int file;                   /* /proc/PID/statm, -1: not read, or not any more */
    int told;                   /* where each reading is written to, -1: nowhere, or the disk is full */
    long long due;              /* when to read it again */
    long long start;
    long long last_time;
    long long last_bytes;       /* -1: there is no reading yet */
    long long most_bytes;       /* of all readings */
    double area;                /* bytes times nanoseconds */
} Residence;

typedef struct {
    pid_t pid;
    int traced;
    int status;                 /* as wait4 reports it */
    struct rusage usage;        /* the program and the children that it waited for */
    Residence residence;
    long long final_resident;   /* bytes, -1: unknown */
    long long reading;          /* nanoseconds in which the program stood still because we looked */
} Program;

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static long long microseconds(struct timeval t)
{
    return t.tv_sec * 1000000LL + t.tv_usec;
}

/* /proc/PID/statm, or -1. It stays open over an exec. */
static int open_statm(pid_t pid)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* The bytes in memory as the kernel counts them, -1: unknown. A process without memory of its own has ended. */
static long long counted_bytes(int statm)
{
    char text[128];
    long long pages;
    ssize_t length = pread(statm, text, sizeof text - 1, 0);

    if (length <= 0)
        return -1;
    text[length] = 0;
    if (sscanf(text, "%*d %lld", &pages) != 1 || pages == 0)
        return -1;
    return pages * sysconf(_SC_PAGESIZE);
}

/* The bytes of `pid` that are in memory: exact from smaps_rollup, else the kernel's own count from statm. */
static long long resident_bytes(pid_t pid)
{
    char path[64], line[256];
    long long kilobytes = -1;

    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "re");
    if (file) {
        while (kilobytes < 0 && fgets(line, sizeof line, file))
            if (sscanf(line, "Rss: %lld kB", &kilobytes) != 1)
                kilobytes = -1;
        fclose(file);
    }
    if (kilobytes >= 0)
        return kilobytes * 1024;
    int statm = open_statm(pid);
    if (statm < 0)
        return -1;
    long long bytes = counted_bytes(statm);
    close(statm);
    return bytes;
}

/* One reading: since the one before the memory changed evenly, before the first it was the same. */
static void add_reading(Residence *residence, long long time, long long bytes)
{
    if (bytes < 0)
        return;
    if (residence->last_bytes < 0)
        residence->last_bytes = bytes;
    residence->area += (double)(residence->last_bytes + bytes) / 2 * (double)(time - residence->last_time);
    residence->last_time = time;
    residence->last_bytes = bytes;
    if (residence->most_bytes < bytes)
        residence->most_bytes = bytes;
    if (residence->told >= 0 && dprintf(residence->told, "%lld %lld\n", time - residence->start, bytes) < 0)
        residence->told = -1;
}

/* The program stands at its end: this reading is the last. */
static void end_readings(Residence *residence, long long time, long long bytes)
{
    add_reading(residence, time, bytes);
    if (residence->file >= 0)
        close(residence->file);
    residence->file = -1;
}

/* Bytes, -1: unknown. */
static long long mean_resident(const Residence *residence)
{
    if (residence->last_bytes < 0)
        return -1;
    return (long long)(residence->area / (double)(residence->last_time - residence->start));
}

static int is_job_control(int signal)
{
    return signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

/* One stop of the program: look if it is the last, hand on the signal if it is one, and let it go on. */
static void pass_stop(Program *program, int status)
{
    int event = status >> 16, signal = WSTOPSIG(status);
    long long start;

    if (!program->traced || (event == PTRACE_EVENT_STOP && signal != SIGTRAP)) {
        if (program->traced)
            ptrace(PTRACE_LISTEN, program->pid, 0, 0);
        if (is_job_control(signal))
            kill(getpid(), SIGSTOP);
        return;
    }
    if (event == PTRACE_EVENT_EXIT) {
        start = now();
        program->final_resident = resident_bytes(program->pid);
        end_readings(&program->residence, start, program->final_resident);
        program->reading += now() - start;
    }
    ptrace(PTRACE_CONT, program->pid, 0, event ? 0 : signal);
}

/* Takes what there is to know of the program. 1: it has ended. */
static int look(Program *program)
{
    int status;

    while (wait4(program->pid, &status, WNOHANG | WUNTRACED | __WALL, &program->usage) == program->pid) {
        if (!WIFSTOPPED(status)) {
            program->status = status;
            return 1;
        }
        pass_stop(program, status);
    }
    return 0;
}

/* The next signal, or -1 when a reading is due. */
static int next_signal(const sigset_t *all, siginfo_t *info, const Residence *residence)
{
    long long left;
    struct timespec patience;

    if (residence->file < 0)
        return sigwaitinfo(all, info);
    left = residence->due - now();
    if (left <= 0)
        return -1;
    patience = (struct timespec){left / SECOND, left % SECOND};
    return sigtimedwait(all, info, &patience);
}

static void read_when_due(Residence *residence)
{
    long long time;

    if (residence->file < 0 || (time = now()) < residence->due)
        return;
    add_reading(residence, time, counted_bytes(residence->file));
    residence->due += PERIOD;
    if (residence->due < time) /* we came late: do not make up for it */
        residence->due = time + PERIOD;
}

static void wait_for(Program *program, const sigset_t *all)
{
    siginfo_t info;

    for (;;) {
        int signal = next_signal(all, &info, &program->residence);
        read_when_due(&program->residence);
        if (signal < 0)
            continue;
        if (signal == SIGCHLD) {
            if (look(program))
                return;
        } else if (info.si_code == SI_QUEUE) {
            sigqueue(program->pid, signal, info.si_value);
        } else if (info.si_code <= 0) {
            kill(program->pid, signal);
        }
    }
}

static void become(char **words, int failure_fd)
{
    execvp(words[0], words);
    int error = errno;
    if (write(failure_fd, &error, sizeof error) < 0)
        _exit(NOT_STARTED);
    _exit(error == ENOENT ? NOT_STARTED : NOT_EXECUTABLE);
}

static void write_figures(int fd, const Program *program, long long wall, int error)
{
    const struct rusage *usage = &program->usage;
    long long peak = usage->ru_maxrss * 1024LL; /* counted per processor, so that it may lag behind the exact count */
    long long mean = mean_resident(&program->residence);

    if (peak < program->residence.most_bytes)
        peak = program->residence.most_bytes;
    dprintf(fd, "pid %d\nwall_ns %lld\nuser_us %lld\nsystem_us %lld\n", (int)program->pid, wall,
            microseconds(usage->ru_utime), microseconds(usage->ru_stime));
    dprintf(fd, "peak_resident_bytes %lld\nminor_faults %ld\nmajor_faults %ld\n", peak,
            usage->ru_minflt, usage->ru_majflt);
    if (mean >= 0)
        dprintf(fd, "mean_resident_bytes %lld\n", mean);
    if (program->final_resident >= 0)
        dprintf(fd, "final_resident_bytes %lld\n", program->final_resident);
    if (WIFSIGNALED(program->status))
        dprintf(fd, "signal %d\n", WTERMSIG(program->status));
    else
        dprintf(fd, "exit_status %d\n", WEXITSTATUS(program->status));
    if (error)
        dprintf(fd, "start_error %d\n", error);
}

/* Ends as the program did, without a second core file. */
static int end_like(int status)
{
    struct rlimit none = {0, 0};
    sigset_t all;

    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    setrlimit(RLIMIT_CORE, &none);
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
    sigfillset(&all);
    sigprocmask(SIG_UNBLOCK, &all, NULL);
    return 128 + WTERMSIG(status);
}

int main(int count, char **words)
{
    char *after[MOST_WORDS + 1] = {0};
    char *additions[MOST_WORDS];
    const char *pid_name = NULL;
    int after_count = 0, addition_count = 0, figures_fd = -1, trace = 1, option;
    int go[2], failure[2], error = 0;
    char token = 0;
    sigset_t all, before;
    struct sigaction on_child;
    Program program = {.final_resident = -1, .residence = {.file = -1, .told = -1, .last_bytes = -1}};

    while ((option = getopt(count, words, "+e:p:f:t:nka:")) != -1) {
        if (option == 'e' && addition_count < MOST_WORDS && strchr(optarg, '='))
            additions[addition_count++] = optarg;
        else if (option == 'p')
            pid_name = optarg;
        else if (option == 'a' && after_count < MOST_WORDS)
            after[after_count++] = optarg;
        else if (option == 'f')
            figures_fd = atoi(optarg);
        else if (option == 't')
            program.residence.told = atoi(optarg);
        else if (option == 'n')
            trace = 0;
        else if (option == 'k')
            prctl(PR_SET_PDEATHSIG, SIGTERM); /* handed on like any other */
        else
            return BAD_USAGE;
    }
    if (optind >= count)
        return BAD_USAGE;
    if (pipe2(go, O_CLOEXEC) || pipe2(failure, O_CLOEXEC)) {
        perror("snug: cannot start a process");
        return NOT_EXECUTABLE;
    }
    if (figures_fd >= 0)
        fcntl(figures_fd, F_SETFD, FD_CLOEXEC);
    if (program.residence.told >= 0)
        fcntl(program.residence.told, F_SETFD, FD_CLOEXEC);

    sigaction(SIGCHLD, NULL, &on_child);
    signal(SIGCHLD, SIG_DFL); /* ignored, it would hide the program's end from us */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);

    program.pid = fork();
    if (program.pid == 0) {
        close(go[1]);
        if (read(go[0], &token, 1) != 1)
            _exit(NOT_STARTED);
        for (int i = 0; i < addition_count; i++)
            putenv(additions[i]);
        if (pid_name) {
            char number[16];
            snprintf(number, sizeof number, "%d", (int)getpid());
            setenv(pid_name, number, 1);
        }
        sigaction(SIGCHLD, &on_child, NULL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        become(words + optind, failure[1]);
    }
    if (program.pid < 0) {
        perror("snug: cannot start a process");
        return NOT_EXECUTABLE;
    }
    close(failure[1]);
    program.traced = trace && ptrace(PTRACE_SEIZE, program.pid, 0, PTRACE_O_TRACEEXIT) == 0;
    if (figures_fd >= 0 || program.residence.told >= 0)
        program.residence.file = open_statm(program.pid);
    long long start = now();
    program.residence.start = program.residence.last_time = start;
    program.residence.due = start + PERIOD;
    if (write(go[1], &token, 1) != 1)
        return NOT_EXECUTABLE;
    wait_for(&program, &all);
    long long wall = now() - start - program.reading;

    if (read(failure[0], &error, sizeof error) != sizeof error)
        error = 0;
    else
        fprintf(stderr, "snug: cannot start %s: %s\n", words[optind], strerror(error));
    if (figures_fd >= 0)
        write_figures(figures_fd, &program, wall, error);
    if (after_count)
        signal(SIGINT, SIG_IGN); /* the one that ended the program may come once more: it would end the report */
    sigprocmask(SIG_SETMASK, &before, NULL);
    sigaction(SIGCHLD, &on_child, NULL);
    if (after_count) {
        if (figures_fd >= 0)
            fcntl(figures_fd, F_SETFD, 0);
        execvp(after[0], after);
        perror("snug: cannot start the report");
    }
    return end_like(program.status);
}
