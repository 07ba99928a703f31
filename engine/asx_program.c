/* The program: `asx serve`, and what else it will answer to. */
#include <asx/engine/main.h>

#include "program_routes.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef ASX_HAVE_RQ
#include <asx/raptorq/tool.h>
#include <asx/reactor/probe.h>
#include <asx/reactor/signal.h>
#endif

static void usage(FILE *out)
{
    fputs("usage: asx serve [--SETTING VALUE]...   run the server\n"
          "       asx serve --help                 every setting, with examples\n"
#ifdef ASX_HAVE_RQ
          "       asx rq --help                    RaptorQ: protect, send and receive files\n"
#endif
          "       asx lab --help                   runs in virtual time: search, replay, explain\n"
          "       asx --version\n"
          "\n"
          "Try it:\n"
          "  asx serve --listen 127.0.0.1:8080 &\n"
          "  curl -i http://127.0.0.1:8080/plaintext\n"
          "  curl -s http://127.0.0.1:8080/metrics | less\n"
          "  kill -TERM %1                        # finishes what is in flight, then ends\n"
          "\n"
          "Routes: / /plaintext /json /echo /bytes/N /status/N /sleep/MS /panic\n"
          "        /static/... /healthz /metrics\n",
          out);
}

static int serve_main(int argc, char **argv)
{
    static char name[] = "asx serve";
    argv[0] = name; /* what the help text calls it */
    return asx_main(argc, argv, asxi_program_app);
}

#ifdef ASX_HAVE_RQ
static asx_err rq_driver_open(asx_driver **driver)
{
    static const asx_driver_config plain = { 0 };
    return asx_driver_create(ASX_DRIVER_CHOICE_AUTO, &plain, driver, NULL, 0);
}

static asx_err rq_signals_open(int32_t *fd)
{
    static const int numbers[] = { SIGTERM, SIGINT };
    return asx_signal_open(numbers, asx_array_count(numbers), fd);
}

static const asx_rq_host rq_host = { .driver_open = rq_driver_open,
                                     .signals_open = rq_signals_open };
#endif

/* The lab runs a kernel of its own, with trace points, and so is a program of its own: asx-lab,
 * beside this one. */
static int lab_main(int argc, char **argv)
{
    static char name[] = "lab";
    char path[4096];
    const ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - sizeof("asx-lab"));
    char *const slash = len > 0 ? memrchr(path, '/', (size_t)len) : NULL;
    if (slash) {
        memcpy(slash + 1, "asx-lab", sizeof("asx-lab"));
        argv[1] = name;
        execv(path, argv + 1);
    }
    fprintf(stderr, "asx: no asx-lab beside this program (%d arguments were for it)\n", argc - 2);
    return 2;
}

int main(int argc, char **argv)
{
    const char *const command = argc > 1 ? argv[1] : "";
    if (strcmp(command, "serve") == 0) {
        return serve_main(argc - 1, argv + 1);
    }
    if (strcmp(command, "rq") == 0) {
#ifdef ASX_HAVE_RQ
        return asx_rq_main(argc - 1, argv + 1, &rq_host);
#else
        fputs("asx: this build has no rq\n", stderr);
        return 2;
#endif
    }
    if (strcmp(command, "lab") == 0) {
        return lab_main(argc, argv);
    }
    if (strcmp(command, "--version") == 0 || strcmp(command, "version") == 0) {
        puts("asx " ASX_VERSION);
        return 0;
    }
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 ||
        strcmp(command, "help") == 0) {
        usage(stdout);
        return 0;
    }
    if (strncmp(command, "--", 2) == 0) {
        fprintf(stderr, "asx: %.64s is for a command, such as asx serve; see asx --help\n",
                command);
    } else if (argc > 1) {
        fprintf(stderr, "asx: unknown command '%.64s'; see asx --help\n", command);
    } else {
        usage(stderr);
    }
    return 2;
}
