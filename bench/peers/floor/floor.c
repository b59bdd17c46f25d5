/*
 * The floor: what five upstream calls per request cost when nothing is protected.
 *
 * One epoll loop and the fewest system calls the socket interface allows: per aggregated request
 * one receive and one send on the client, one send and one receive on each of five kept-alive
 * upstream connections (`recv` and `send` cost a little less than `read` and `write`). There is no
 * timeout, limit, validation, projection, log, metric or retry, and an upstream answer that does
 * not fit its assumptions ends the process. It is the unit of the benchmark, never a server to run.
 *
 * PORT          port to listen on (127.0.0.1)
 * UPSTREAMS     five base addresses, comma separated: order, user, inventory, coupon, recommend
 * WORKERS       processes sharing the port (default 1)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { PARTS = 5, EVENTS = 512, REPLY_MAX = 65536, HEAD_MAX = 4096, ANSWER_MAX = 12288 };
enum kind { LISTENER, CLIENT, UPSTREAM };

struct client;

struct upstream {
    enum kind kind;
    int fd;
    int part;
    struct upstream *next; /* the pool is a stack: the warmest connection is used first */
    struct client *owner;
    int have, body, need; /* bytes read, where the body starts, head + body once it is known */
    char bytes[ANSWER_MAX];
};

struct client {
    enum kind kind;
    int fd;
    int missing; /* parts still awaited; 0 while idle */
    int gone;    /* the client left while its parts were on the way */
    int request_id_len;
    char request_id[64];
    struct upstream *calls[PARTS];
};

struct target {
    struct sockaddr_in address;
    char host[64];
    struct upstream *pool;
};

static const char *const PATHS[PARTS] = {
    "/orders/", "/users/", "/inventory/", "/coupons/", "/recommend/"};
static const char *const FIELDS[PARTS] = {
    "{\"order\":", ",\"user\":", ",\"inventory\":", ",\"coupon\":", ",\"recommend\":"};
static struct target targets[PARTS];
static int epoll_fd;
static unsigned long long next_id;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void watch(int fd, void *ptr) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = ptr};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static char *put(char *at, const void *from, size_t len) {
    memcpy(at, from, len);
    return at + len;
}

static char *put_number(char *at, unsigned long long value) {
    char digits[24];
    int len = 0;
    do digits[len++] = (char)('0' + value % 10);
    while (value /= 10);
    while (len) *at++ = digits[--len];
    return at;
}

/* The value of one header, or NULL. `name` ends with a colon. */
static const char *header(const char *head, const char *end, const char *name, int *len) {
    size_t name_len = strlen(name);
    for (const char *line = memchr(head, '\n', (size_t)(end - head)); line;) {
        line++;
        const char *next = memchr(line, '\n', (size_t)(end - line));
        const char *stop = next ? next - 1 : end;
        if ((size_t)(stop - line) > name_len && !strncasecmp(line, name, name_len)) {
            const char *value = line + name_len;
            while (value < stop && *value == ' ') value++;
            *len = (int)(stop - value);
            return value;
        }
        line = next;
    }
    return NULL;
}

static struct upstream *borrow(int part) {
    struct upstream *up = targets[part].pool;
    if (up) {
        targets[part].pool = up->next;
    } else {
        up = malloc(sizeof *up);
        if (!up) die("malloc");
        up->kind = UPSTREAM;
        up->part = part;
        up->fd = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr *address = (struct sockaddr *)&targets[part].address;
        if (up->fd < 0 || connect(up->fd, address, sizeof targets[part].address) < 0)
            die("connect");
        watch(up->fd, up);
    }
    up->have = up->need = 0;
    return up;
}

static void give_back(struct upstream *up) {
    up->owner = NULL;
    up->next = targets[up->part].pool;
    targets[up->part].pool = up;
}

static void drop_client(struct client *client) {
    close(client->fd);
    free(client);
}

static void reply(struct client *client) {
    static char out[REPLY_MAX];
    char *body = out + 128, *at = body;
    for (int part = 0; part < PARTS; part++) {
        struct upstream *up = client->calls[part];
        at = put(at, FIELDS[part], strlen(FIELDS[part]));
        at = put(at, up->bytes + up->body, (size_t)(up->need - up->body));
    }
    static const char tail[] = ",\"degraded\":[],\"request_id\":\"";
    at = put(at, tail, sizeof tail - 1);
    at = put(at, client->request_id, (size_t)client->request_id_len);
    static const char served[] = "\",\"served_at_ms\":";
    at = put(at, served, sizeof served - 1);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    at = put_number(at, (unsigned long long)now.tv_sec * 1000 + (unsigned)now.tv_nsec / 1000000);
    *at++ = '}';

    /* The head is written in front of the body once its length is known: one buffer, one write. */
    char head[128], *head_at = head;
    static const char start[] =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ";
    head_at = put(head_at, start, sizeof start - 1);
    head_at = put_number(head_at, (unsigned long long)(at - body));
    head_at = put(head_at, "\r\n\r\n", 4);
    size_t head_len = (size_t)(head_at - head);
    memcpy(body - head_len, head, head_len);

    for (int part = 0; part < PARTS; part++) give_back(client->calls[part]);
    size_t total = head_len + (size_t)(at - body);
    /* A failed write is not handled here: the client's next event reads the error and drops it. */
    if (client->gone)
        drop_client(client);
    else if (send(client->fd, body - head_len, total, MSG_NOSIGNAL) != (ssize_t)total)
        shutdown(client->fd, SHUT_RDWR);
}

static void call(struct client *client, int part, const char *id, size_t id_len) {
    char request[512], *at = request;
    at = put(at, "GET ", 4);
    at = put(at, PATHS[part], strlen(PATHS[part]));
    at = put(at, id, id_len);
    at = put(at, targets[part].host, strlen(targets[part].host));
    struct upstream *up = borrow(part);
    up->owner = client;
    client->calls[part] = up;
    if (send(up->fd, request, (size_t)(at - request), MSG_NOSIGNAL) != at - request)
        die("send to upstream");
}

static void on_client(struct client *client) {
    static char head[HEAD_MAX];
    ssize_t have = recv(client->fd, head, sizeof head, 0);
    if (have <= 0 || client->missing) { /* left, or pipelined: the floor serves neither */
        if (!client->missing) drop_client(client);
        else if (have <= 0) {
            client->gone = 1;
            epoll_ctl(epoll_fd, EPOLL_CTL_DEL, client->fd, NULL);
        }
        return;
    }
    static const char prefix[] = "GET /api/orders/";
    const size_t prefix_len = sizeof prefix - 1;
    const char *end = head + have, *id = head + prefix_len;
    const char *space = (size_t)have > prefix_len ? memchr(id, ' ', (size_t)(end - id)) : NULL;
    if (!space || space - id > 128 || memcmp(head, prefix, prefix_len) ||
        memcmp(end - 4, "\r\n\r\n", 4)) {
        drop_client(client);
        return;
    }
    int len = 0;
    const char *request_id = header(head, end, "x-request-id:", &len);
    if (request_id && len > 0 && len < (int)sizeof client->request_id) {
        memcpy(client->request_id, request_id, (size_t)len);
        client->request_id_len = len;
    } else {
        client->request_id_len =
            (int)(put_number(client->request_id, next_id++) - client->request_id);
    }
    client->missing = PARTS;
    for (int part = 0; part < PARTS; part++) call(client, part, id, (size_t)(space - id));
}

static void on_upstream(struct upstream *up) {
    ssize_t got = recv(up->fd, up->bytes + up->have, sizeof up->bytes - (size_t)up->have, 0);
    if (got <= 0) {
        if (up->owner) die("an upstream closed in the middle of an answer");
        /* An idle connection the upstream closed: unlink it from its pool. */
        struct upstream **link = &targets[up->part].pool;
        while (*link && *link != up) link = &(*link)->next;
        if (*link) *link = up->next;
        close(up->fd);
        free(up);
        return;
    }
    up->have += (int)got;
    if (!up->need) {
        char *blank = memmem(up->bytes, (size_t)up->have, "\r\n\r\n", 4);
        if (!blank) return;
        int len = 0;
        const char *value = header(up->bytes, blank, "content-length:", &len);
        if (!value || memcmp(up->bytes + 9, "200", 3)) die("upstream answer");
        up->body = (int)(blank + 4 - up->bytes);
        up->need = up->body + atoi(value);
    }
    if (up->have < up->need) return;
    struct client *client = up->owner;
    if (--client->missing == 0) reply(client);
}

static void on_listener(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) return;
    struct client *client = calloc(1, sizeof *client);
    if (!client) die("calloc");
    client->kind = CLIENT;
    client->fd = fd;
    watch(fd, client);
}

static void read_targets(char *list) {
    for (int part = 0; part < PARTS; part++) {
        char *item = strtok(part ? NULL : list, ",");
        char *host = item ? strstr(item, "//") : NULL;
        char *port = host ? strchr(host + 2, ':') : NULL;
        if (!port) die("UPSTREAMS needs five addresses like http://127.0.0.1:9101");
        struct target *target = &targets[part];
        snprintf(target->host, sizeof target->host, " HTTP/1.1\r\nHost: %s\r\n\r\n", host + 2);
        *port = 0;
        target->address.sin_family = AF_INET;
        target->address.sin_port = htons((uint16_t)atoi(port + 1));
        if (inet_pton(AF_INET, host + 2, &target->address.sin_addr) != 1) die("UPSTREAMS");
    }
}

static int listen_on(int port) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    struct sockaddr_in here = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&here, sizeof here) < 0) die("bind");
    if (listen(listener, 4096) < 0) die("listen");
    return listener;
}

int main(void) {
    const char *port = getenv("PORT"), *workers = getenv("WORKERS");
    char *list = getenv("UPSTREAMS");
    if (!port || !list) {
        fputs("set PORT and UPSTREAMS\n", stderr);
        return 2;
    }
    read_targets(list);
    for (int extra = workers ? atoi(workers) - 1 : 0; extra > 0; extra--)
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            break;
        }
    static enum kind listener_kind = LISTENER;
    int listener = listen_on(atoi(port));
    epoll_fd = epoll_create1(0);
    watch(listener, &listener_kind);
    struct epoll_event events[EVENTS];
    for (;;) {
        int ready = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            void *ptr = events[i].data.ptr;
            switch (*(enum kind *)ptr) {
            case LISTENER: on_listener(listener); break;
            case CLIENT: on_client(ptr); break;
            case UPSTREAM: on_upstream(ptr); break;
            }
        }
    }
}
