// hload: a small HTTP/1.1 load generator for 127.0.0.1, one thread, bounded in time.
//
// It exists beside wrk for three things that wrk cannot do: a fixed request rate
// with latency counted from the moment each request was due (no coordinated
// omission), a low client cost per request (the response is parsed once per
// connection, after that only its bytes are counted), and holding idle connections.
//
//   hload -p PORT [-c CONNS] [-d SECONDS] [-w WARMUP] [-P DEPTH] [-r RATE] [-C] [-I N] [-u PATH]
//     -P  requests written at once on a connection (pipelining)
//     -r  total requests/s, open loop; without it the loop is closed
//     -C  one request per connection (Connection: close)
//     -I  open N connections, one request on each, print "idle N", hold them
//         for -d seconds, and stop
// Prints one JSON object; "stalled" is the share of the time for which an open loop was held up.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUF = 256 * 1024, MAXC = 16384, HB = 64, HG = 40, STALL_NS = 200000 };

typedef struct {
    int fd;
    int left;     // responses still due on this connection
    int hdr;      // bytes gathered of the first response
    int64_t got;  // bytes of the response being read
    int64_t size; // size of one response, 0 until known
    int64_t t0;   // when the batch was due
    int queued;
    char *first;
} conn;

static conn cs[MAXC];
static int port, nconn = 64, depth = 1, churn, ep;
static double rate, secs = 5, warm = 1;
static const char *path = "/";
static char req[65536], buf[BUF];
static int reqlen;
static uint64_t done, errs, hist[HG * HB];
static int counting;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// A log-linear histogram of nanoseconds: 64 steps to each power of two.
static void record(int64_t ns)
{
    if (ns < 1)
        ns = 1;
    int e = 63 - __builtin_clzll((uint64_t)ns), i;
    i = e < 6 ? (int)ns : (e - 5) * HB + (int)((ns >> (e - 6)) & (HB - 1));
    if (i >= HG * HB)
        i = HG * HB - 1;
    hist[i]++;
}

static double quantile(double q)
{
    uint64_t n = 0, s = 0;
    for (int i = 0; i < HG * HB; i++)
        n += hist[i];
    if (!n)
        return 0;
    uint64_t want = (uint64_t)(q * (double)n);
    if (want >= n)
        want = n - 1;
    for (int i = 0; i < HG * HB; i++) {
        s += hist[i];
        if (s > want) {
            if (i < HB)
                return i / 1e3;
            int e = i / HB + 5;
            return (double)((int64_t)(HB + i % HB) << (e - 6)) / 1e3;
        }
    }
    return 0;
}

static void die(const char *m)
{
    perror(m);
    exit(1);
}

static void open_conn(conn *c, int blocking)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0)
        die("socket");
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (!blocking) {
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
        // from 250 addresses in turn: one alone runs out of ports that are not in TIME_WAIT
        static unsigned turn;
        struct sockaddr_in from = { .sin_family = AF_INET };
        from.sin_addr.s_addr = htonl(0x7f000102u + turn++ % 250);
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(c->fd, (struct sockaddr *)&from, sizeof from))
            die("bind");
    }
    if (connect(c->fd, (struct sockaddr *)&a, sizeof a) && errno != EINPROGRESS)
        die("connect");
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event e = { .events = EPOLLIN | (blocking ? 0 : EPOLLOUT | EPOLLET),
                             .data.ptr = c };
    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e))
        die("epoll_ctl");
    c->got = c->hdr = 0;
    c->left = churn;
}

static void send_batch(conn *c, int64_t due)
{
    c->t0 = due;
    c->left = depth;
    ssize_t n = write(c->fd, req, (size_t)reqlen);
    if (n != reqlen) {
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
            errs++;
            return;
        }
        die("write");
    }
}

// The size of one response, from its head; 0 while the head is incomplete.
static int64_t response_size(conn *c)
{
    c->first[c->hdr] = 0;
    char *e = strstr(c->first, "\r\n\r\n");
    if (!e)
        return 0;
    if (strncmp(c->first, "HTTP/1.1 200", 12) && strncmp(c->first, "HTTP/1.0 200", 12)) {
        fprintf(stderr, "not a 200: %.60s\n", c->first);
        exit(1);
    }
    char *l = strcasestr(c->first, "\r\ncontent-length:");
    if (!l || l > e) {
        fprintf(stderr, "no content-length\n");
        exit(1);
    }
    return (e - c->first) + 4 + atoll(l + 17);
}

// Takes n bytes; returns 1 when the batch is complete.
static int take(conn *c, const char *p, int64_t n)
{
    if (!c->size) {
        if (!c->first)
            c->first = malloc(8192);
        int k = n < 8191 - c->hdr ? (int)n : 8191 - c->hdr;
        memcpy(c->first + c->hdr, p, (size_t)k);
        c->hdr += k;
        c->size = response_size(c);
        if (!c->size) {
            c->got += n;
            return 0;
        }
        free(c->first);
        c->first = NULL;
    }
    c->got += n;
    while (c->left && c->got >= c->size) {
        c->got -= c->size;
        c->left--;
        if (counting)
            done++;
    }
    return c->left == 0;
}

static void usage(void)
{
    fprintf(stderr, "usage: hload -p PORT [-c CONNS] [-d SECONDS] [-w WARMUP] [-P DEPTH] [-r RATE] "
                    "[-C] [-I N] [-u PATH]\n");
    exit(2);
}

int main(int argc, char **argv)
{
    int o, idle = 0;
    while ((o = getopt(argc, argv, "p:c:d:w:P:r:CI:u:")) != -1)
        switch (o) {
        case 'p':
            port = atoi(optarg);
            break;
        case 'c':
            nconn = atoi(optarg);
            break;
        case 'd':
            secs = atof(optarg);
            break;
        case 'w':
            warm = atof(optarg);
            break;
        case 'P':
            depth = atoi(optarg);
            break;
        case 'r':
            rate = atof(optarg);
            break;
        case 'C':
            churn = 1;
            break;
        case 'I':
            idle = atoi(optarg);
            break;
        case 'u':
            path = optarg;
            break;
        default:
            usage();
        }
    if (!port || depth < 1 || depth > 256 || secs > 120)
        usage();
    if (idle) {
        nconn = idle;
        depth = 1;
    }
    if (nconn < 1 || nconn > MAXC)
        usage();
    struct rlimit rl;
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
    for (int i = 0; i < depth; i++)
        reqlen += snprintf(req + reqlen, sizeof req - (size_t)reqlen,
                           "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\n", path, port,
                           churn ? "Connection: close\r\n" : "");
    ep = epoll_create1(0);
    int64_t t = now();
    for (int i = 0; i < nconn; i++)
        open_conn(&cs[i], !churn);
    int64_t begin = now() + (int64_t)(warm * 1e9), end = begin + (int64_t)(secs * 1e9), first = 0;
    double cpu0 = 0;
    struct rusage ru;

    // The queue of free connections, for the open loop.
    static int freeq[MAXC];
    int fh = 0, fn = 0;
    if (idle || (!rate && !churn))
        for (int i = 0; i < nconn; i++)
            send_batch(&cs[i], now());
    else if (rate)
        for (int i = 0; i < nconn; i++)
            freeq[fn++] = i;
    int64_t gap = rate ? (int64_t)(1e9 * depth / rate) : 0, due = now() + 1000000, idle_done = 0;

    struct epoll_event ev[512];
    int64_t before = 0, stalled = 0;
    for (;;) {
        t = now();
        if (counting && rate && t - before > STALL_NS)
            stalled += t - before;
        before = t;
        if (!counting && t >= begin && !idle) {
            counting = 1;
            first = t;
            getrusage(RUSAGE_SELF, &ru);
            cpu0 = (double)ru.ru_utime.tv_sec + (double)ru.ru_stime.tv_sec +
                   (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
        }
        if (t >= end)
            break;
        if (rate)
            while (due <= t && fn) {
                int i = freeq[fh];
                fh = (fh + 1) % MAXC;
                fn--;
                send_batch(&cs[i], due);
                due += gap;
            }
        int n = epoll_wait(ep, ev, 512, rate ? 0 : 100);
        t = now();
        for (int k = 0; k < n; k++) {
            conn *c = ev[k].data.ptr;
            if (churn && (ev[k].events & EPOLLOUT) && !c->queued) {
                c->queued = 1;
                send_batch(c, t);
            }
            if (!(ev[k].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                continue;
            ssize_t r;
            int fin = 0;
            while ((r = read(c->fd, buf, BUF)) > 0) {
                if (take(c, buf, r))
                    fin = 1;
                if (!churn && r < BUF)
                    break;
            }
            if (churn) {
                if (r < 0 && errno == EAGAIN)
                    continue;
                if (c->left && counting)
                    errs++; // closed with a response still due
                if (counting)
                    record(now() - c->t0);
                close(c->fd);
                c->queued = 0;
                open_conn(c, 0);
                continue;
            }
            if (r == 0 || (r < 0 && errno != EAGAIN)) {
                if (counting)
                    errs++;
                close(c->fd);
                open_conn(c, 1);
                fin = 1;
            }
            if (!fin)
                continue;
            if (idle) {
                if (++idle_done == nconn) {
                    printf("idle %d\n", nconn);
                    fflush(stdout);
                    usleep((useconds_t)(secs * 1e6));
                    return 0;
                }
                continue;
            }
            if (counting)
                record((rate ? now() : t) - c->t0);
            if (!rate)
                send_batch(c, t);
            else {
                freeq[(fh + fn) % MAXC] = (int)(c - cs);
                fn++;
            }
        }
    }
    double el = (double)(now() - first) / 1e9;
    getrusage(RUSAGE_SELF, &ru);
    double cpu = (double)ru.ru_utime.tv_sec + (double)ru.ru_stime.tv_sec +
                 (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6 - cpu0;
    printf("{\"requests\": %llu, \"seconds\": %.4f, \"rps\": %.0f, \"p50_us\": %.1f, \"p99_us\": "
           "%.1f, \"p999_us\": %.1f, \"errors\": %llu, \"client_cpu\": %.3f, \"stalled\": %.5f}\n",
           (unsigned long long)done, el, (double)done / el, quantile(.5), quantile(.99),
           quantile(.999), (unsigned long long)errs, cpu / el, (double)stalled / 1e9 / el);
    return 0;
}
