// SPDX-License-Identifier: MIT
// floor.cpp - "the physical limit": a throwaway server/client pair that does the
// least work a Linux TCP server can do per request, to be run beside flux.
// It is a measuring stick, not a product: no error handling beyond what the
// measurement needs, no HTTP parsing except counting CRLFCRLF.
//
// Build:  g++ -std=c++20 -O2 -fno-exceptions floor.cpp -o floor      (also: clang++-19)
//         (raw syscalls only; needs <linux/io_uring.h> of Debian 12 or newer, not liburing)
//
// Run (server on CPU 0, client on CPU 1):
//   taskset -c 0 ./floor serve port=9000                     # best io_uring design (defaults)
//   taskset -c 0 ./floor serve port=9000 spin=20 taskflag=1  # the same, spinning 20 us before it sleeps
//   taskset -c 0 ./floor serve port=9000 engine=epoll        # best plain epoll loop
//   taskset -c 1 wrk -t1 -c64 -d3 http://127.0.0.1:9000/
//   taskset -c 1 ./floor client port=9000 conns=64 pipe=1 time=3    # cheaper client than wrk
//   taskset -c 0 ./floor serve port=9000 proto=echo
//   taskset -c 1 ./floor pingpong port=9000 size=64 time=2          # one connection, RTT
//   taskset -c 0 ./floor serve port=9000 close=link
//   taskset -c 1 ./floor churn port=9000 conns=16 time=3            # connect, 1 request, close
//   taskset -c 1 ./floor hold port=9000 conns=9000                  # idle connections, for memory
//   taskset -c 1 ./floor duel servers=9000:PID,9001:PID2 conns=64 slice=12 time=6   # fair A/B, see below
// Several servers may be up at once on one CPU: an idle one sleeps. "duel" is the way to compare on a
// noisy machine. If other jobs run, give server and client a real-time class: chrt -f 10 taskset -c 0 ...
// SIGTERM makes the server print its counters (requests, enters, cqes ...) on stderr.
//
// serve options (key=value; first value is the default):
//   engine=uring|epoll        proto=http|echo
//   setup=defer|none|coop|single|sqpoll   nosqarray=1|0   regring=1|0
//   recv=multi|single|pf|sel|bundle|inc|poll|spec   (pf: single + POLL_FIRST, sel: single-shot
//        from the provided ring, bundle: multishot + BUNDLE, inc: multishot + PBUF_RING_INC,
//        poll: multishot poll + recv(2), spec: recv(2) DONTWAIT first, then recv sqe POLL_FIRST)
//   bufsz=16384 nbufs=256 (power of two)
//   send=auto|uring|skip|direct|write|fixed|zc|zcfixed|msg   waitall=1|0  (auto: send(2) while a loop
//        turn has at most automax=2 completions, else io_uring send)   kplus=0 (usec; with send=uring: wait
//        for 1 + queued sends, at most that long, so that the sends' own CQEs do not end the wait)
//   direct=0|1                (1: registered file table + accept_direct multishot)
//   wait=1 minwait=0 (usec)   spin=0 (usec)  taskflag=0|1 (spin on the shared flag word, no syscall)
//   etimeout=0|1 (pass a timeout to every enter)
//   timer=none|link|op|wheel|lazy
//   coro=0|1  nest=0  alloc=free|malloc      (coroutine per connection, nest = tasks per request)
//   body=0 (bytes)  bsend=send|msg|zc|zcfixed|direct|sendfile|splice|read   (1 response in flight)
//   cc=reno|cubic|bbr (TCP_CONGESTION of the listener, inherited; default: the system's)  linger0=1  deferaccept=1
//   close=0|uring|direct|link      (close the connection after each response, and how)
#include <arpa/inet.h>
#include <cerrno>
#include <coroutine>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <emmintrin.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

// ---- constants newer than the Debian 12 headers -------------------------------------------
#define X_SETUP_REGISTERED_FD_ONLY (1U << 15)
#define X_SETUP_NO_SQARRAY (1U << 16)
#define X_RECVSEND_BUNDLE (1U << 4)
#define X_PBUF_RING_INC 2
#define X_CQE_F_BUF_MORE (1U << 4)
#define X_FEAT_MIN_TIMEOUT (1U << 15)
#define X_RECVSEND_POLL_FIRST (1U << 0)
#define X_RECV_MULTISHOT (1U << 1)
#define X_RECVSEND_FIXED_BUF (1U << 2)
#define X_ACCEPT_MULTISHOT (1U << 0)

static std::unordered_map<std::string, std::string> A;
static std::string S(const char* k, const char* d) { auto i = A.find(k); return i == A.end() ? d : i->second; }
static long N(const char* k, long d) { auto i = A.find(k); return i == A.end() ? d : atol(i->second.c_str()); }
[[noreturn]] static void die(const char* w) { perror(w); _exit(1); }
static uint64_t now_ns(clockid_t c = CLOCK_MONOTONIC) { timespec t; clock_gettime(c, &t); return t.tv_sec * 1000000000ull + t.tv_nsec; }
static volatile sig_atomic_t g_stop = 0;
static void on_term(int) { g_stop = 1; }

// ---- a minimal ring ------------------------------------------------------------------------
struct Ring {
  int fd = -1, efd = -1;
  unsigned eflags = 0, features = 0;
  unsigned *khead, *ktail, *kflags, *chead, *ctail, *coverflow;
  unsigned smask, sents, cmask, tail = 0, submitted = 0;
  io_uring_sqe* sqes;
  io_uring_cqe* cqes;
  bool sqpoll = false, defer = false;
  uint64_t enters = 0;
  void init(unsigned entries, unsigned cqents, const std::string& setup, bool nosqarray, bool regring) {
    io_uring_params p{};
    p.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    p.cq_entries = cqents;
    if (setup == "coop") p.flags |= IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    if (setup == "single") p.flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN;
    if (setup == "defer") p.flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, defer = true;
    if (setup == "sqpoll") p.flags |= IORING_SETUP_SQPOLL, p.sq_thread_idle = 50, sqpoll = true;
    if (N("taskflag", 0)) p.flags |= IORING_SETUP_TASKRUN_FLAG;
    if (nosqarray) p.flags |= X_SETUP_NO_SQARRAY;
    fd = (int)syscall(__NR_io_uring_setup, entries, &p);
    if (fd < 0) die("io_uring_setup");
    features = p.features;
    size_t sz = std::max<size_t>(p.sq_off.array + (nosqarray ? 0 : p.sq_entries * 4), p.cq_off.cqes + p.cq_entries * sizeof(io_uring_cqe));
    char* r = (char*)mmap(nullptr, sz, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING);
    if (r == MAP_FAILED) die("mmap ring");
    sqes = (io_uring_sqe*)mmap(nullptr, p.sq_entries * sizeof(io_uring_sqe), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQES);
    if (sqes == MAP_FAILED) die("mmap sqes");
    khead = (unsigned*)(r + p.sq_off.head); ktail = (unsigned*)(r + p.sq_off.tail); kflags = (unsigned*)(r + p.sq_off.flags);
    chead = (unsigned*)(r + p.cq_off.head); ctail = (unsigned*)(r + p.cq_off.tail); coverflow = (unsigned*)(r + p.cq_off.overflow);
    cqes = (io_uring_cqe*)(r + p.cq_off.cqes);
    smask = p.sq_entries - 1; sents = p.sq_entries; cmask = p.cq_entries - 1;
    if (!nosqarray) { unsigned* a = (unsigned*)(r + p.sq_off.array); for (unsigned i = 0; i < sents; i++) a[i] = i; }
    efd = fd;
    if (regring) {
      io_uring_rsrc_update u{}; u.offset = -1U; u.data = fd;
      if (syscall(__NR_io_uring_register, fd, 20 /*REGISTER_RING_FDS*/, &u, 1) == 1) { efd = u.offset; eflags = 1U << 4; }
    }
  }
  int enter(unsigned sub, unsigned wait, unsigned fl, void* arg = nullptr, size_t sz = 0) {
    enters++;
    return (int)syscall(__NR_io_uring_enter, efd, sub, wait, fl | eflags, arg, sz);
  }
  void publish() { __atomic_store_n(ktail, tail, __ATOMIC_RELEASE); }
  void flush() {
    publish();
    if (sqpoll) { if (__atomic_load_n(kflags, __ATOMIC_ACQUIRE) & IORING_SQ_NEED_WAKEUP) enter(0, 0, IORING_ENTER_SQ_WAKEUP); submitted = tail; return; }
    while (submitted != tail) { int r = enter(tail - submitted, 0, 0); if (r > 0) submitted += r; else if (errno != EINTR && errno != EAGAIN && errno != EBUSY) die("enter"); }
  }
  io_uring_sqe* sqe() {
    if (tail - __atomic_load_n(khead, __ATOMIC_ACQUIRE) >= sents) flush();
    while (tail - __atomic_load_n(khead, __ATOMIC_ACQUIRE) >= sents) ;
    io_uring_sqe* s = &sqes[tail++ & smask];
    memset(s, 0, sizeof *s);
    return s;
  }
  bool ready() { return *chead != __atomic_load_n(ctail, __ATOMIC_ACQUIRE); }
  void submit_wait(unsigned wait, unsigned minwait_us, const timespec* ts) {
    publish();
    if (sqpoll) {
      submitted = tail;
      unsigned f = 0;
      __atomic_thread_fence(__ATOMIC_SEQ_CST);
      if (__atomic_load_n(kflags, __ATOMIC_ACQUIRE) & IORING_SQ_NEED_WAKEUP) f |= IORING_ENTER_SQ_WAKEUP;
      if (!ready()) { enter(0, wait, f | IORING_ENTER_GETEVENTS); } else if (f) enter(0, 0, f);
      return;
    }
    unsigned n = tail - submitted;
    int r;
    if (ts || minwait_us) {
      struct { uint64_t sigmask; uint32_t sz, minw; uint64_t ts; } a{0, 8, minwait_us, (uint64_t)ts};
      r = enter(n, wait, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &a, sizeof a);
    } else r = enter(n, wait, IORING_ENTER_GETEVENTS);
    if (r >= 0) submitted += r;
    else if (errno == ETIME) submitted = __atomic_load_n(khead, __ATOMIC_ACQUIRE);
    else if (errno != EINTR && errno != EAGAIN && errno != EBUSY) die("enter wait");
  }
  int reg(unsigned op, void* arg, unsigned n) { return (int)syscall(__NR_io_uring_register, fd, op, arg, n); }
};

struct PBuf {  // provided buffer ring
  io_uring_buf_ring* br; char* base; unsigned n, sz; uint16_t tail = 0;
  uint32_t* off;  // incremental consumption position
  void init(Ring& r, unsigned n_, unsigned sz_, int bgid, int flags) {
    n = n_; sz = sz_;
    br = (io_uring_buf_ring*)mmap(nullptr, n * sizeof(io_uring_buf), PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    base = (char*)mmap(nullptr, (size_t)n * sz, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    off = (uint32_t*)calloc(n, 4);
    struct { uint64_t addr; uint32_t ents; uint16_t bgid, flags; uint64_t resv[3]; } reg{(uint64_t)br, n, (uint16_t)bgid, (uint16_t)flags, {}};
    if (r.reg(22, &reg, 1)) die("pbuf ring");
    for (unsigned i = 0; i < n; i++) put(i);
    commit();
  }
  char* at(unsigned bid) { return base + (size_t)bid * sz; }
  void put(unsigned bid) { io_uring_buf& b = ((io_uring_buf*)br)[tail++ & (n - 1)]; b.addr = (uint64_t)at(bid); b.len = sz; b.bid = bid; }
  void commit() { __atomic_store_n(&br->tail, tail, __ATOMIC_RELEASE); }
};

// ---- response ------------------------------------------------------------------------------
static char* g_resp[2]; static unsigned g_rl, g_cur; static const unsigned RMAX = 1024;
static char* g_body; static size_t g_blen; static uint64_t g_total;  // header+body
static int g_bodyfd = -1;
static void make_resp() {
  static time_t last = 0;
  timespec t; clock_gettime(CLOCK_REALTIME_COARSE, &t);
  if (t.tv_sec == last) return;
  last = t.tv_sec;
  g_cur ^= 1;
  char d[64]; tm g; gmtime_r(&t.tv_sec, &g); strftime(d, sizeof d, "%a, %d %b %Y %H:%M:%S GMT", &g);
  char b[512];
  if (g_blen) { g_rl = snprintf(b, sizeof b, "HTTP/1.1 200 OK\r\nServer: floor\r\nDate: %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", d, g_blen); }
  else g_rl = snprintf(b, sizeof b, "HTTP/1.1 200 OK\r\nServer: floor\r\nDate: %s\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!", d);
  if (g_blen) { static bool once = false; if (!once) { memcpy(g_body, b, g_rl); once = true; } g_total = g_rl + g_blen; return; }
  for (unsigned i = 0; i < RMAX; i++) memcpy(g_resp[g_cur] + i * g_rl, b, g_rl);
}
// number of CRLFCRLF in the stream, carrying a partial match over chunks
static inline unsigned scan(uint8_t& st, const char* p, size_t n) {
  unsigned cnt = 0; size_t i = 0;
  static const char pat[] = "\r\n\r\n";
  auto step = [&](char ch) { if (ch == pat[st]) { if (++st == 4) { cnt++; st = 0; } } else st = ch == '\r' ? 1 : 0; };
  while (i < n && st) step(p[i++]);
  const __m128i R = _mm_set1_epi8('\r'), L = _mm_set1_epi8('\n');
  for (; i + 19 <= n; i += 16) {
    __m128i a = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i*)(p + i)), R), b = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i*)(p + i + 1)), L);
    __m128i c = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i*)(p + i + 2)), R), d = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i*)(p + i + 3)), L);
    cnt += __builtin_popcount(_mm_movemask_epi8(_mm_and_si128(_mm_and_si128(a, b), _mm_and_si128(c, d))));
  }
  while (i < n) step(p[i++]);
  return cnt;
}

static int listen_on(int port, bool nonblock) {
  int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0), 0), one = 1;
  setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);  // inherited by accepted sockets
  if (N("linger0", 0)) { linger l{1, 0}; setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof l); }
  if (N("deferaccept", 0)) { int v = 1; setsockopt(s, IPPROTO_TCP, TCP_DEFER_ACCEPT, &v, sizeof v); }
  if (auto cc = S("cc", ""); !cc.empty() && setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, cc.data(), cc.size())) die("cc");
  sockaddr_in a{}; a.sin_family = AF_INET; a.sin_port = htons(port); a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(s, (sockaddr*)&a, sizeof a)) die("bind");
  listen(s, 4096);
  return s;
}

static uint64_t n_req, n_cqe, n_acc, n_enobufs, n_sys, n_close;
static bool g_echo;

// ---- epoll ---------------------------------------------------------------------------------
static void serve_epoll(int ls) {
  int ep = epoll_create1(EPOLL_CLOEXEC);
  epoll_event ev{}; ev.events = EPOLLIN; ev.data.u64 = (uint64_t)-1; epoll_ctl(ep, EPOLL_CTL_ADD, ls, &ev);
  static uint8_t st[1 << 20]; static uint32_t offs[1 << 20];
  unsigned bufsz = N("bufsz", 16384);
  char* buf = (char*)malloc(bufsz + 64);
  epoll_event evs[512];
  bool cl = S("close", "0") != "0";
  std::string bs = S("bsend", "send");
  auto pump = [&](int fd) {  // body mode: send as much as goes
    while (offs[fd] < g_total) {
      ssize_t r;
      if (bs == "sendfile" && offs[fd] >= g_rl) { off_t o = offs[fd] - g_rl; r = sendfile(fd, g_bodyfd, &o, g_total - offs[fd]); }
      else if (bs == "sendfile") r = send(fd, g_body, g_rl, MSG_NOSIGNAL | MSG_MORE);
      else r = send(fd, g_body + offs[fd], g_total - offs[fd], MSG_NOSIGNAL);
      n_sys++;
      if (r < 0) { epoll_event e{}; e.events = EPOLLOUT; e.data.u64 = fd; epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e); return false; }
      offs[fd] += r;
    }
    return true;
  };
  while (!g_stop) {
    int n = epoll_wait(ep, evs, 512, -1); n_sys++;
    make_resp();
    for (int i = 0; i < n; i++) {
      if (evs[i].data.u64 == (uint64_t)-1) {
        for (;;) {
          int c = accept4(ls, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC); n_sys++;
          if (c < 0) break;
          n_acc++; st[c] = 0; offs[c] = 0;
          epoll_event e{}; e.events = EPOLLIN; e.data.u64 = c; epoll_ctl(ep, EPOLL_CTL_ADD, c, &e); n_sys++;
        }
        continue;
      }
      int fd = (int)evs[i].data.u64;
      if (evs[i].events & EPOLLOUT) { if (pump(fd)) { epoll_event e{}; e.events = EPOLLIN; e.data.u64 = fd; epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e); } continue; }
      ssize_t r = recv(fd, buf, bufsz, 0); n_sys++;
      if (r <= 0) { if (r < 0 && errno == EAGAIN) continue; close(fd); n_close++; continue; }
      if (g_echo) { n_req++; n_sys++; if (send(fd, buf, r, MSG_NOSIGNAL) < 0) {} continue; }
      unsigned c = scan(st[fd], buf, r);
      if (!c) continue;
      n_req += c;
      if (g_blen) { offs[fd] = 0; pump(fd); continue; }
      n_sys++;
      if (send(fd, g_resp[g_cur], c * g_rl, MSG_NOSIGNAL) < 0) {}
      if (cl) { close(fd); n_sys++; n_close++; }
    }
  }
}

// ---- io_uring ------------------------------------------------------------------------------
enum Op : unsigned { ACC, RECV, SEND, POLLR, POLLW, TMO, CLOSE, BODY, NOTHING = 15 };
struct alignas(64) Conn {
  int fd; uint8_t st; bool closing, armed, dead, pollout; int refs;
  uint32_t pend, inflight; uint64_t off;  // responses waiting, bytes in flight, body offset
  const char* sp; char* own; uint64_t deadline; Conn *wn, *wp;
  uint32_t q_head, q_tail;  // coroutine: queue of received buffers (next[] by bid)
  std::coroutine_handle<> rh, sh; int rres, sres; int rbid; int pipefd[2]; uint32_t inpipe;
  iovec iov[2]; msghdr mh; Conn* nextfree; bool eof; int notifs;
};
static Conn* g_free;
static Conn* conn_new() {
  if (!g_free) { Conn* c = (Conn*)mmap(nullptr, 64 * sizeof(Conn), PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0); for (int i = 0; i < 64; i++) { c[i].nextfree = g_free; g_free = &c[i]; } }
  Conn* c = g_free; g_free = c->nextfree; char* own = c->own; memset((void*)c, 0, sizeof *c); c->own = own; c->q_head = c->q_tail = ~0u; return c;
}

// coroutine plumbing
static bool g_malloc;
struct FrameCache {
  static constexpr size_t STEP = 64, CLS = 32;
  void* head[CLS] = {};
  void* get(size_t n) { size_t k = (n + STEP - 1) / STEP; if (k < CLS && head[k]) { void* p = head[k]; head[k] = *(void**)p; return p; } return malloc(k * STEP); }
  void put(void* p, size_t n) { size_t k = (n + STEP - 1) / STEP; if (k < CLS) { *(void**)p = head[k]; head[k] = p; } else free(p); }
};
static thread_local constinit FrameCache t_frames;
struct FrameAlloc {
  static void* operator new(size_t n) { return g_malloc ? malloc(n) : t_frames.get(n); }
  static void operator delete(void* p, size_t n) { if (g_malloc) free(p); else t_frames.put(p, n); }
};
template <class T> struct Task {
  struct promise_type : FrameAlloc {
    std::coroutine_handle<> cont; T val;
    Task get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Fin { bool await_ready() noexcept { return false; } std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) noexcept { return h.promise().cont; } void await_resume() noexcept {} };
    Fin final_suspend() noexcept { return {}; }
    void return_value(T v) { val = v; }
    void unhandled_exception() { abort(); }
  };
  std::coroutine_handle<promise_type> h;
  Task(std::coroutine_handle<promise_type> h_) : h(h_) {}
  Task(Task&& o) : h(std::exchange(o.h, {})) {}
  ~Task() { if (h) h.destroy(); }
  bool await_ready() noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> c) noexcept { h.promise().cont = c; return h; }
  T await_resume() { return h.promise().val; }
};
struct Detached {
  struct promise_type : FrameAlloc {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { abort(); }
  };
};

struct Srv {
  Ring R; PBuf P; int ls;
  std::string rm, sm, cm, bm, tm; bool direct, coro, multi, usebuf, waitall; unsigned bufsz, nbufs; int nest;
  enum { M_SINGLE, M_PF, M_SEL, M_MULTI, M_BUNDLE, M_INC, M_POLL, M_SPEC } rmode;
  enum { S_URING, S_SKIP, S_DIRECT, S_WRITE, S_FIXED, S_ZC, S_ZCFIXED, S_MSG, S_AUTO } smode;
  enum { T_NONE, T_LINK, T_OP, T_WHEEL, T_LAZY } tmode;
  uint32_t* nextb; uint32_t* lenb;
  Conn* wheel[256] = {}; unsigned wpos = 0; uint64_t tnow = 0;
  __kernel_timespec kts{30, 0};
  char spare[65536];

  static uint64_t ud(Conn* c, Op o) { return (uint64_t)c | o; }
  void flagfd(io_uring_sqe* s, Conn* c) { s->fd = c->fd; if (direct) s->flags |= IOSQE_FIXED_FILE; }
  void arm_accept() {
    auto* s = R.sqe(); s->opcode = IORING_OP_ACCEPT; s->fd = ls; s->ioprio = X_ACCEPT_MULTISHOT; s->user_data = ACC;
    if (direct) s->file_index = ~0u;
  }
  void arm_recv(Conn* c, bool = false) {
    auto* s = R.sqe(); flagfd(s, c); s->user_data = ud(c, RECV); c->refs++; c->armed = true;
    if (rmode == M_POLL) { s->opcode = IORING_OP_POLL_ADD; s->len = 1; s->poll32_events = POLLIN | POLLRDHUP; s->user_data = ud(c, POLLR); return; }
    s->opcode = IORING_OP_RECV;
    if (rmode == M_MULTI || rmode == M_BUNDLE || rmode == M_INC) {
      s->ioprio = X_RECV_MULTISHOT | (rmode == M_BUNDLE ? X_RECVSEND_BUNDLE : 0); s->flags |= IOSQE_BUFFER_SELECT; s->buf_group = 0;
      if (N_pf) s->ioprio |= X_RECVSEND_POLL_FIRST;
    } else if (rmode == M_SEL) { s->flags |= IOSQE_BUFFER_SELECT; s->buf_group = 0; if (N_pf) s->ioprio |= X_RECVSEND_POLL_FIRST; }
    else {
      if (!c->own) c->own = (char*)malloc(bufsz + 64);
      s->addr = (uint64_t)c->own; s->len = bufsz;
      if (rmode == M_PF || rmode == M_SPEC) s->ioprio |= X_RECVSEND_POLL_FIRST;
    }
    if (tmode == T_LINK) {
      s->flags |= IOSQE_IO_LINK;
      auto* t = R.sqe(); t->opcode = IORING_OP_LINK_TIMEOUT; t->addr = (uint64_t)&kts; t->len = 1; t->user_data = NOTHING;
    }
  }
  bool N_pf;
  void do_close(Conn* c) {
    if (c->closing) return;
    c->closing = true; n_close++;
    if (tmode == T_WHEEL) wheel_del(c);
    if (direct || cm == "uring") { auto* s = R.sqe(); s->opcode = IORING_OP_CLOSE; if (direct) s->file_index = c->fd + 1; else s->fd = c->fd; s->user_data = ud(c, CLOSE); c->refs++; }
    else { if (c->armed && multi) shutdown(c->fd, SHUT_RDWR); close(c->fd); n_sys++; }
  }
  void unref(Conn* c) { if (--c->refs <= 0 && c->closing && !c->dead) { c->dead = true; c->nextfree = g_free; g_free = c; } }
  void wheel_del(Conn* c) { if (c->wp) c->wp->wn = c->wn; else if (wheel[c->deadline & 255] == c) wheel[c->deadline & 255] = c->wn; if (c->wn) c->wn->wp = c->wp; c->wn = c->wp = nullptr; }
  void wheel_add(Conn* c, uint64_t d) { c->deadline = d; Conn*& h = wheel[d & 255]; c->wn = h; c->wp = nullptr; if (h) h->wp = c; h = c; }
  void touch(Conn* c) {
    if (tmode == T_WHEEL) { uint64_t d = tnow / 125000000 + 240; if (d != c->deadline || N_force) { wheel_del(c); wheel_add(c, d); } }
    else if (tmode == T_LAZY) c->deadline = tnow + 30000000000ull;
    else if (tmode == T_OP) {  // a kernel timeout per request, re-armed by update
      auto* t = R.sqe(); t->opcode = IORING_OP_TIMEOUT_REMOVE; t->timeout_flags = IORING_TIMEOUT_UPDATE; t->addr = ud(c, TMO); t->off = (uint64_t)&kts; t->user_data = NOTHING; t->flags |= IOSQE_CQE_SKIP_SUCCESS;
    }
  }
  bool N_force = false, N_taskflag = false;
  void send_uring(Conn* c, const char* p, unsigned len) {
    auto* s = R.sqe(); flagfd(s, c); s->addr = (uint64_t)p; s->len = len; s->user_data = ud(c, SEND);
    s->opcode = IORING_OP_SEND; s->msg_flags = MSG_NOSIGNAL | (waitall ? MSG_WAITALL : 0);
    c->sp = p; c->inflight = len; c->refs++; ksends++;
    switch (smode) {
      case S_SKIP: s->flags |= IOSQE_CQE_SKIP_SUCCESS; c->inflight = 0; c->refs--; ksends--; break;
      case S_WRITE: s->opcode = IORING_OP_WRITE; s->msg_flags = 0; s->off = 0; break;
      case S_FIXED: s->opcode = IORING_OP_WRITE_FIXED; s->msg_flags = 0; s->buf_index = g_cur; break;
      case S_ZC: s->opcode = IORING_OP_SEND_ZC; break;
      case S_ZCFIXED: s->opcode = IORING_OP_SEND_ZC; s->ioprio |= X_RECVSEND_FIXED_BUF; s->buf_index = g_cur; break;
      case S_MSG: s->opcode = IORING_OP_SENDMSG; c->iov[0] = {(void*)p, len}; c->mh = {}; c->mh.msg_iov = c->iov; c->mh.msg_iovlen = 1; s->addr = (uint64_t)&c->mh; s->len = 1; break;
      default: break;
    }
  }
  bool closemode = false; unsigned ksends = 0, batch = 0;
  void respond(Conn* c, unsigned cnt) {
    n_req += cnt;
    if (tmode) touch(c);
    if (g_blen) { c->off = 0; body_pump(c); return; }
    if (smode == S_DIRECT || (smode == S_AUTO && batch <= auto_max && !c->inflight)) {
      n_sys++;
      ssize_t r = ::send(c->fd, g_resp[g_cur], cnt * g_rl, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (r < (ssize_t)(cnt * g_rl)) { if (r < 0) r = 0; send_uring(c, g_resp[g_cur] + r, cnt * g_rl - r); }
      if (closemode) do_close(c);
      return;
    }
    if (c->inflight) { c->pend += cnt; return; }
    send_uring(c, g_resp[g_cur], cnt * g_rl);
    if (closemode && cm == "link") { R.sqes[(R.tail - 1) & R.smask].flags |= IOSQE_IO_LINK; auto* s = R.sqe(); s->opcode = IORING_OP_CLOSE; if (direct) s->file_index = c->fd + 1; else s->fd = c->fd; s->user_data = ud(c, CLOSE); c->refs++; c->closing = true; n_close++; }
  }
  // big bodies
  void body_pump(Conn* c) {
    uint64_t left = g_total - c->off;
    if (bm == "direct" || bm == "sendfile") {
      while (c->off < g_total) {
        ssize_t r; n_sys++;
        if (bm == "sendfile" && c->off >= g_rl) { off_t o = c->off - g_rl; r = sendfile(c->fd, g_bodyfd, &o, g_total - c->off); }
        else if (bm == "sendfile") r = ::send(c->fd, g_body, g_rl, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE);
        else r = ::send(c->fd, g_body + c->off, g_total - c->off, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (r < 0) { auto* s = R.sqe(); flagfd(s, c); s->opcode = IORING_OP_POLL_ADD; s->poll32_events = POLLOUT; s->user_data = ud(c, BODY); c->refs++; return; }
        c->off += r;
      }
      return;
    }
    if (!left) return;
    if (bm == "splice" || bm == "read") {
      if (c->off < g_rl) { ::send(c->fd, g_body, g_rl, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE); c->off = g_rl; left = g_total - c->off; n_sys++; }
      unsigned ch = std::min<uint64_t>(left, N_chunk);
      if (bm == "splice") {
        if (!c->pipefd[0]) { if (pipe2(c->pipefd, O_CLOEXEC)) die("pipe"); fcntl(c->pipefd[0], F_SETPIPE_SZ, N_chunk); }
        auto* s = R.sqe(); s->opcode = IORING_OP_SPLICE; s->fd = c->pipefd[1]; s->splice_fd_in = g_bodyfd; s->splice_off_in = c->off - g_rl; s->off = -1ull; s->len = ch; s->flags = IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS; s->user_data = NOTHING;
        s = R.sqe(); s->opcode = IORING_OP_SPLICE; flagfd(s, c); s->splice_fd_in = c->pipefd[0]; s->splice_off_in = -1ull; s->off = -1ull; s->len = ch; s->splice_flags = 1 /*MOVE*/; s->user_data = ud(c, BODY); c->refs++;
      } else {
        if (!c->own) c->own = (char*)malloc(N_chunk + 64);
        auto* s = R.sqe(); s->opcode = IORING_OP_READ; s->fd = g_bodyfd; s->addr = (uint64_t)c->own; s->len = ch; s->off = c->off - g_rl; s->flags = IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS; s->user_data = NOTHING;
        s = R.sqe(); s->opcode = IORING_OP_SEND; flagfd(s, c); s->addr = (uint64_t)c->own; s->len = ch; s->msg_flags = MSG_NOSIGNAL | MSG_WAITALL; s->user_data = ud(c, BODY); c->refs++;
      }
      return;
    }
    auto* s = R.sqe(); flagfd(s, c); s->user_data = ud(c, BODY); c->refs++;
    s->opcode = IORING_OP_SEND; s->addr = (uint64_t)(g_body + c->off); s->len = left; s->msg_flags = MSG_NOSIGNAL | (waitall ? MSG_WAITALL : 0);
    if (bm == "zc" || bm == "zcfixed") { s->opcode = IORING_OP_SEND_ZC; if (bm == "zcfixed") { s->ioprio |= X_RECVSEND_FIXED_BUF; s->buf_index = 2; } }
    if (bm == "msg") {
      s->opcode = IORING_OP_SENDMSG; c->mh = {}; c->mh.msg_iov = c->iov;
      if (c->off < g_rl) { c->iov[0] = {g_body + c->off, g_rl - c->off}; c->iov[1] = {g_body + g_rl, g_blen}; c->mh.msg_iovlen = 2; }
      else { c->iov[0] = {g_body + c->off, left}; c->mh.msg_iovlen = 1; }
      s->addr = (uint64_t)&c->mh; s->len = 1;
    }
  }
  unsigned N_chunk = 65536, auto_max = N("automax", 2);
  void on_data(Conn* c, char* p, unsigned n) {
    if (g_echo) { n_req++; if (smode == S_DIRECT) { ::send(c->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL); n_sys++; } else { if (usebuf) { if (!c->own) c->own = (char*)malloc(65536); memcpy(c->own, p, n); p = c->own; } send_uring(c, p, n); } return; }
    unsigned k = scan(c->st, p, n);
    if (k) respond(c, k);
  }
  void on_recv(Conn* c, io_uring_cqe* e) {
    int res = e->res; bool more = e->flags & IORING_CQE_F_MORE;
    if (!more) { c->armed = false; }
    if (res > 0) {
      if (usebuf) {
        unsigned bid = e->flags >> 16;
        if (rmode == M_BUNDLE) {
          unsigned left = res;
          while (left) { unsigned k = std::min(left, bufsz); on_data(c, P.at(bid), k); P.put(bid); bid = (bid + 1) & (nbufs - 1); left -= k; }
        } else if (rmode == M_INC) {
          on_data(c, P.at(bid) + P.off[bid], res);
          if (e->flags & X_CQE_F_BUF_MORE) P.off[bid] += res; else { P.off[bid] = 0; P.put(bid); }
        } else if (coro) {
          lenb[bid] = res; nextb[bid] = ~0u;
          if (c->q_tail == ~0u) c->q_head = c->q_tail = bid; else { nextb[c->q_tail] = bid; c->q_tail = bid; }
          if (c->rh) { auto h = std::exchange(c->rh, {}); h.resume(); }
        } else { on_data(c, P.at(bid), res); P.put(bid); }
      } else if (coro) { c->rres = res; auto h = std::exchange(c->rh, {}); h.resume(); }
      else on_data(c, c->own, res);
      if (!more && !c->closing && !c->armed) {
        if (rmode == M_SPEC) {
          for (;;) { n_sys++; ssize_t r = ::recv(c->fd, c->own, bufsz, MSG_DONTWAIT); if (r > 0) { on_data(c, c->own, r); continue; } if (r == 0) { do_close(c); } break; }
          if (!c->closing) arm_recv(c);
        } else if (multi || !coro) arm_recv(c);
      }
    } else if (res == -ENOBUFS) { n_enobufs++; if (!c->closing && !more) arm_recv(c); }
    else if (!more) {
      if (coro) { c->eof = true; c->rres = res; if (c->rh) { auto h = std::exchange(c->rh, {}); h.resume(); } }
      else do_close(c);
    }
    if (!more) unref(c);
  }
  // coroutine connection
  struct RecvAw {
    Srv& s; Conn* c;
    bool await_ready() { return (s.usebuf && c->q_head != ~0u) || c->eof; }
    void await_suspend(std::coroutine_handle<> h) { c->rh = h; if (!s.multi) s.arm_recv(c); }
    std::pair<char*, int> await_resume() {
      if (s.usebuf) { if (c->q_head == ~0u) return {nullptr, 0}; unsigned b = c->q_head; c->q_head = s.nextb[b]; if (c->q_head == ~0u) c->q_tail = ~0u; c->rbid = b; return {s.P.at(b), (int)s.lenb[b]}; }
      return {c->own, c->rres};
    }
  };
  struct SendAw {
    Srv& s; Conn* c; const char* p; unsigned n; bool now = false;
    bool await_ready() { if (s.smode == S_DIRECT || (s.smode == S_AUTO && s.batch <= s.auto_max)) { n_sys++; ssize_t r = ::send(c->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL); if (r == (ssize_t)n) { now = true; return true; } } else if (s.smode == S_SKIP) { s.send_uring(c, p, n); now = true; return true; } return false; }
    void await_suspend(std::coroutine_handle<> h) { c->sh = h; s.send_uring(c, p, n); }
    int await_resume() { return now ? (int)n : c->sres; }
  };
  Task<int> nested(Conn* c, int depth, unsigned k) {
    if (depth > 1) co_return co_await nested(c, depth - 1, k);
    co_return (int)(k * g_rl);
  }
  Detached conn_coro(Conn* c) {
    c->refs++;
    for (;;) {
      auto [p, n] = co_await RecvAw{*this, c};
      if (n <= 0) break;
      unsigned k = scan(c->st, p, n);
      if (usebuf) P.put(c->rbid);
      if (!k) continue;
      n_req += k;
      unsigned len = 0;
      if (nest) for (unsigned i = 0; i < k; i++) len += co_await nested(c, nest, 1); else len = k * g_rl;
      int r = co_await SendAw{*this, c, g_resp[g_cur], len};
      if (r < 0) break;
    }
    do_close(c); unref(c);
  }
  void on_accept(io_uring_cqe* e) {
    if (e->res >= 0) {
      n_acc++; Conn* c = conn_new(); c->fd = e->res;
      if (tmode == T_WHEEL) wheel_add(c, tnow / 125000000 + 240);
      if (tmode == T_OP) { auto* t = R.sqe(); t->opcode = IORING_OP_TIMEOUT; t->addr = (uint64_t)&kts; t->len = 1; t->off = 0; t->user_data = ud(c, TMO); }
      if (coro) { if (multi) arm_recv(c, true); conn_coro(c); }
      else if (rmode == M_SPEC) { c->own = (char*)malloc(bufsz + 64); ssize_t r = ::recv(c->fd, c->own, bufsz, MSG_DONTWAIT); n_sys++; if (r > 0) on_data(c, c->own, r); if (!c->closing) arm_recv(c); }
      else arm_recv(c, true);
    }
    if (!(e->flags & IORING_CQE_F_MORE)) arm_accept();
  }
  void cqe(io_uring_cqe* e) {
    n_cqe++;
    unsigned op = e->user_data & 63; Conn* c = (Conn*)(e->user_data & ~63ull);
    switch (op) {
      case ACC: on_accept(e); break;
      case RECV: on_recv(c, e); break;
      case SEND:
        if (e->flags & IORING_CQE_F_NOTIF) { unref(c); break; }
        if (e->flags & IORING_CQE_F_MORE) c->refs++;  // a notification follows
        if (smode == S_SKIP) { do_close(c); break; }
        if (e->res > 0 && (unsigned)e->res < c->inflight) { send_uring(c, c->sp + e->res, c->inflight - e->res); unref(c); break; }
        c->inflight = 0;
        if (c->sh) { c->sres = e->res; auto h = std::exchange(c->sh, {}); h.resume(); unref(c); break; }
        if (e->res < 0) do_close(c);
        else if (c->pend) { unsigned k = std::min(c->pend, RMAX); c->pend -= k; send_uring(c, g_resp[g_cur], k * g_rl); }
        else if (closemode && !c->closing) do_close(c);
        unref(c);
        break;
      case BODY:
        if (e->flags & IORING_CQE_F_NOTIF) { unref(c); break; }
        if (e->flags & IORING_CQE_F_MORE) c->refs++;
        if (e->res < 0) do_close(c);
        else { if (bm != "direct" && bm != "sendfile") c->off += e->res; if (c->off < g_total && !c->closing) body_pump(c); }
        unref(c);
        break;
      case POLLR: {
        bool more = e->flags & IORING_CQE_F_MORE;
        ssize_t r = ::recv(c->fd, spare, bufsz, MSG_DONTWAIT); n_sys++;
        if (r > 0) on_data(c, spare, r);
        else if (r == 0 || errno != EAGAIN) { if (more) { auto* s = R.sqe(); s->opcode = IORING_OP_POLL_REMOVE; s->addr = ud(c, POLLR); s->user_data = NOTHING; } do_close(c); }
        if (!more) { c->refs--; if (!c->closing) arm_recv(c); else { c->refs++; unref(c); } }
        break; }
      case CLOSE: unref(c); break;
      default: break;
    }
  }
  void run() {
    rm = S("recv", "multi"); sm = S("send", "auto"); cm = S("close", "0"); bm = S("bsend", "send"); tm = S("timer", "none");
    auto idx = [](const std::string& s, std::initializer_list<const char*> l) { int i = 0; for (auto* x : l) { if (s == x) return i; i++; } fprintf(stderr, "bad option value %s\n", s.c_str()); _exit(2); };
    rmode = (decltype(rmode))idx(rm, {"single", "pf", "sel", "multi", "bundle", "inc", "poll", "spec"});
    smode = (decltype(smode))idx(sm, {"uring", "skip", "direct", "write", "fixed", "zc", "zcfixed", "msg", "auto"});
    tmode = (decltype(tmode))idx(tm, {"none", "link", "op", "wheel", "lazy"});
    closemode = cm != "0"; direct = N("direct", 0); if (direct && smode == S_AUTO) smode = S_URING;  // no real fd for send(2)
    coro = N("coro", 0); nest = N("nest", 0); g_malloc = S("alloc", "free") == "malloc"; N_pf = N("pf", 0); waitall = N("waitall", 1); N_chunk = N("chunk", 65536); N_force = N("wheelforce", 0); N_taskflag = N("taskflag", 0);
    bufsz = N("bufsz", 16384); nbufs = N("nbufs", 256); multi = rmode == M_MULTI || rmode == M_BUNDLE || rmode == M_INC || rmode == M_POLL; usebuf = rmode == M_SEL || (multi && rmode != M_POLL);
    R.init(N("sq", 1024), N("cq", 8192), S("setup", "defer"), N("nosqarray", 1), N("regring", 1));
    if (usebuf) P.init(R, nbufs, bufsz, 0, rmode == M_INC ? X_PBUF_RING_INC : 0);
    nextb = (uint32_t*)calloc(nbufs, 4); lenb = (uint32_t*)calloc(nbufs, 4);
    if (direct) { struct { uint32_t nr, flags; uint64_t r2, data, tags; } u{16384, 1, 0, 0, 0}; if (R.reg(13, &u, sizeof u)) die("register files"); }
    if (sm == "fixed" || sm == "zcfixed" || bm == "zcfixed") { iovec v[3] = {{g_resp[0], RMAX * 512}, {g_resp[1], RMAX * 512}, {g_body, g_blen + 4096}}; if (R.reg(0, v, g_blen ? 3 : 2)) die("register buffers"); }
    arm_accept();
    unsigned wait = N("wait", 1), minw = N("minwait", 0); uint64_t spin = N("spin", 0) * 1000; bool et = N("etimeout", 0);
    timespec ts{1, 0}; unsigned kplus = N("kplus", 0);
    bool needts = et || minw || wait > 1;
    while (!g_stop) {
      if (spin) {
        R.flush();
        uint64_t t0 = now_ns();
        bool tf = N_taskflag; while (!R.ready()) { if (R.defer && (!tf || (__atomic_load_n(R.kflags, __ATOMIC_ACQUIRE) & IORING_SQ_TASKRUN))) { R.enter(0, 0, IORING_ENTER_GETEVENTS); if (R.ready()) break; } if (now_ns() - t0 > spin) break; __builtin_ia32_pause(); }
        if (!R.ready()) R.submit_wait(1, 0, nullptr);
      } else if (kplus && ksends) R.submit_wait(1 + ksends, kplus, &ts);
      else R.submit_wait(wait, minw, needts ? &ts : nullptr);
      ksends = 0;
      make_resp();
      if (tmode >= T_WHEEL) { tnow = now_ns(CLOCK_MONOTONIC_COARSE); }
      unsigned h = *R.chead, t = __atomic_load_n(R.ctail, __ATOMIC_ACQUIRE);
      batch = t - h;
      while (h != t) {
        for (; h != t; h++) cqe(&R.cqes[h & R.cmask]);
        __atomic_store_n(R.chead, h, __ATOMIC_RELEASE);
        if (usebuf) P.commit();
        t = __atomic_load_n(R.ctail, __ATOMIC_ACQUIRE);
      }
    }
  }
};

static void serve() {
  g_echo = S("proto", "http") == "echo";
  g_blen = N("body", 0);
  for (auto& r : g_resp) r = (char*)mmap(nullptr, RMAX * 512, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
  if (g_blen) {
    g_body = (char*)mmap(nullptr, g_blen + 4096, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0); memset(g_body, 'x', g_blen + 4096);
    char fn[] = "/dev/shm/floorXXXXXX"; g_bodyfd = mkstemp(fn); unlink(fn); if (write(g_bodyfd, g_body, g_blen) < 0) die("write");
  }
  make_resp();
  bool ep = S("engine", "uring") == "epoll";
  int ls = listen_on(N("port", 9000), ep);
  if (ep) serve_epoll(ls);
  else { static Srv s; s.ls = ls; s.run(); fprintf(stderr, "enters=%lu overflow=%u ", s.R.enters, *s.R.coverflow); }
  rusage u; getrusage(RUSAGE_SELF, &u);
  fprintf(stderr, "req=%lu cqe=%lu acc=%lu close=%lu enobufs=%lu sys=%lu csw=%ld/%ld user=%.3f sys=%.3f\n", n_req, n_cqe, n_acc, n_close, n_enobufs, n_sys, u.ru_nvcsw, u.ru_nivcsw,
          u.ru_utime.tv_sec + u.ru_utime.tv_usec / 1e6, u.ru_stime.tv_sec + u.ru_stime.tv_usec / 1e6);
}

// ---- clients -------------------------------------------------------------------------------
static int conn_to(int port) {
  int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  sockaddr_in a{}; a.sin_family = AF_INET; a.sin_port = htons(port); a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int i = 0; connect(s, (sockaddr*)&a, sizeof a); i++) { if (i > 200) die("connect"); usleep(10000); close(s); s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); }
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return s;
}
static const char REQ[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1:9000\r\n\r\n";
// reqsize=N: an upload, N bytes of padding before the blank line (only for floor's own server)
static std::string request() { long n = N("reqsize", 0); std::string r = REQ; if (n) r.insert(r.size() - 2, "X: " + std::string(n, 'a') + "\r\n"); return r; }
static size_t learn(int s, const char* req, size_t rl, bool echo, size_t size) {
  if (echo) return size;
  for (size_t o = 0; o < rl;) { ssize_t r = send(s, req + o, rl - o, 0); if (r < 0) die("send"); o += r; }
  std::string in; char b[65536]; size_t need = 0;
  for (;;) {
    ssize_t r = recv(s, b, sizeof b, 0); if (r <= 0) die("learn recv"); in.append(b, r);
    if (!need) { auto p = in.find("\r\n\r\n"); if (p == std::string::npos) continue; std::string h = in.substr(0, p); for (auto& ch : h) ch = tolower(ch); auto q = h.find("content-length:"); need = p + 4 + (q == std::string::npos ? 0 : atol(h.c_str() + q + 15)); }
    if (in.size() >= need) return need;
  }
}
static void report(const char* what, uint64_t req, double sec, uint64_t cpu0) {
  printf("%s requests=%lu seconds=%.4f rps=%.0f client_cpu_ns_per_req=%.0f\n", what, req, sec, req / sec, (now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu0) / (double)(req ? req : 1));
}
static void client() {
  int port = N("port", 9000), nc = N("conns", 64), pipe = N("pipe", 1); double T = atof(S("time", "3").c_str()); bool echo = S("proto", "http") == "echo"; size_t size = N("size", 64);
  std::string one = echo ? std::string(size, 'a') : request(), all; for (int i = 0; i < pipe; i++) all += one;
  struct C { int fd; uint64_t got; uint32_t left; };
  std::vector<C> cs(nc);
  for (auto& c : cs) { c.fd = conn_to(port); c.got = 0; }
  size_t L = learn(cs[0].fd, one.data(), one.size(), echo, size);
  uint64_t want = (uint64_t)L * pipe, req = 0;
  bool trunc = N("trunc", L > 65536);
  uint64_t cpu0 = now_ns(CLOCK_PROCESS_CPUTIME_ID), t0 = now_ns(), tend = t0 + (uint64_t)(T * 1e9);
  if (S("cmode", "uring") == "epoll" || trunc) {
    int ep = epoll_create1(0); char* buf = (char*)malloc(1 << 20);
    for (int i = 0; i < nc; i++) { epoll_event e{}; e.events = EPOLLIN; e.data.u32 = i; epoll_ctl(ep, EPOLL_CTL_ADD, cs[i].fd, &e); if (send(cs[i].fd, all.data(), all.size(), MSG_NOSIGNAL) < 0) die("send"); }
    epoll_event ev[512]; uint64_t n = t0;
    while (n < tend) {
      int k = epoll_wait(ep, ev, 512, 100);
      for (int i = 0; i < k; i++) {
        C& c = cs[ev[i].data.u32];
        ssize_t r = recv(c.fd, buf, 1 << 20, MSG_DONTWAIT | (trunc ? MSG_TRUNC : 0));
        if (r <= 0) { if (r < 0 && errno == EAGAIN) continue; fprintf(stderr, "client: connection lost\n"); exit(1); }
        c.got += r;
        if (c.got >= want) { c.got -= want; req += pipe; if (send(c.fd, all.data(), all.size(), MSG_NOSIGNAL) < 0) die("send"); }
      }
      n = now_ns();
    }
    report("client", req, (n - t0) / 1e9, cpu0);
    return;
  }
  Ring R; R.init(1024, 8192, "defer", true, true);
  PBuf P; P.init(R, 1024, 8192, 0, 0);
  auto send1 = [&](int i) { auto* s = R.sqe(); s->opcode = IORING_OP_SEND; s->fd = cs[i].fd; s->addr = (uint64_t)all.data(); s->len = all.size(); s->msg_flags = MSG_NOSIGNAL | MSG_WAITALL; s->flags = IOSQE_CQE_SKIP_SUCCESS; s->user_data = -1ull; };
  auto recv1 = [&](int i) { auto* s = R.sqe(); s->opcode = IORING_OP_RECV; s->fd = cs[i].fd; s->ioprio = X_RECV_MULTISHOT; s->flags = IOSQE_BUFFER_SELECT; s->buf_group = 0; s->user_data = i; };
  for (int i = 0; i < nc; i++) { recv1(i); send1(i); }
  timespec ts{0, 100000000}; uint64_t n = t0;
  while (n < tend) {
    R.submit_wait(1, 0, &ts);
    unsigned h = *R.chead, t = __atomic_load_n(R.ctail, __ATOMIC_ACQUIRE);
    for (; h != t; h++) {
      auto& e = R.cqes[h & R.cmask];
      if (e.user_data == -1ull) { fprintf(stderr, "client: send failed %d\n", e.res); exit(1); }
      C& c = cs[e.user_data];
      if (e.res > 0) { P.put(e.flags >> 16); c.got += e.res; if (c.got >= want) { c.got -= want; req += pipe; send1(e.user_data); } }
      else if (e.res != -ENOBUFS) { fprintf(stderr, "client: connection lost %d\n", e.res); exit(1); }
      if (!(e.flags & IORING_CQE_F_MORE)) recv1(e.user_data);
    }
    __atomic_store_n(R.chead, h, __ATOMIC_RELEASE); P.commit();
    n = now_ns();
  }
  report("client", req, (n - t0) / 1e9, cpu0);
}
// duel: time slices alternate between several running servers, so that slow phases of the machine
// hit all of them alike; prints, per server, the median over rounds of CPU ns per request and of the
// ratio to the first one.   floor duel servers=9001:PID,9002:PID conns=64 pipe=1 slice=20 time=4
static void duel() {
  int nc = N("conns", 64), pipe = N("pipe", 1); double T = atof(S("time", "4").c_str()); uint64_t slice = atof(S("slice", "20").c_str()) * 1e6; bool echo = S("proto", "http") == "echo"; size_t size = N("size", 64);
  struct C { int fd; uint64_t got; int srv; }; struct V { int port, pid; uint64_t want, cpu = 0, req = 0, wall = 0; std::vector<double> ns, rate; };
  std::vector<V> vs; std::string list = S("servers", "");
  for (size_t i = 0; i < list.size();) { size_t e = list.find(',', i); if (e == std::string::npos) e = list.size(); V v{}; sscanf(list.substr(i, e - i).c_str(), "%d:%d", &v.port, &v.pid); vs.push_back(v); i = e + 1; }
  std::string one = echo ? std::string(size, 'a') : request(), all; for (int i = 0; i < pipe; i++) all += one;
  std::vector<C> cs;
  for (size_t k = 0; k < vs.size(); k++) { for (int i = 0; i < nc; i++) cs.push_back({conn_to(vs[k].port), 0, (int)k}); vs[k].want = learn(cs[k * nc].fd, one.data(), one.size(), echo, size) * pipe; }
  Ring R; R.init(4096, 32768, "defer", true, true); PBuf P; P.init(R, 2048, 8192, 0, 0);
  auto send1 = [&](size_t i) { auto* s = R.sqe(); s->opcode = IORING_OP_SEND; s->fd = cs[i].fd; s->addr = (uint64_t)all.data(); s->len = all.size(); s->msg_flags = MSG_NOSIGNAL | MSG_WAITALL; s->flags = IOSQE_CQE_SKIP_SUCCESS; s->user_data = -1ull; };
  auto recv1 = [&](size_t i) { auto* s = R.sqe(); s->opcode = IORING_OP_RECV; s->fd = cs[i].fd; s->ioprio = X_RECV_MULTISHOT; s->flags = IOSQE_BUFFER_SELECT; s->buf_group = 0; s->user_data = i; };
  for (size_t i = 0; i < cs.size(); i++) recv1(i);
  R.flush(); timespec ts{0, 100000000};
  uint64_t tend = now_ns() + (uint64_t)(T * 1e9); int round = 0;
  while (now_ns() < tend) {
    for (size_t k0 = 0; k0 < vs.size(); k0++) {
      size_t k = (k0 + round) % vs.size(); V& v = vs[k]; clockid_t ck = (~(clockid_t)v.pid << 3) | 2;
      uint64_t c0 = now_ns(ck), t0 = now_ns(), end = t0 + slice, n = t0, req = 0; int idle = 0;
      for (int i = 0; i < nc; i++) send1(k * nc + i);
      while (idle < nc) {
        R.submit_wait(1, 0, &ts); n = now_ns();
        unsigned h = *R.chead, t = __atomic_load_n(R.ctail, __ATOMIC_ACQUIRE);
        for (; h != t; h++) {
          auto& e = R.cqes[h & R.cmask]; if (e.user_data == -1ull) { fprintf(stderr, "duel: send failed %d\n", e.res); exit(1); }
          C& c = cs[e.user_data];
          if (e.res > 0) { P.put(e.flags >> 16); c.got += e.res; if (c.got >= v.want) { c.got -= v.want; req += pipe; if (n < end) send1(e.user_data); else idle++; } }
          else if (e.res != -ENOBUFS) { fprintf(stderr, "duel: connection lost %d\n", e.res); exit(1); }
          if (!(e.flags & IORING_CQE_F_MORE)) recv1(e.user_data);
        }
        __atomic_store_n(R.chead, h, __ATOMIC_RELEASE); P.commit();
      }
      uint64_t sp = now_ns() + 300000; while (now_ns() < sp) ;  // let the server go back to sleep
      uint64_t cpu = now_ns(ck) - c0; if (!round) continue;     // first round warms up
      v.cpu += cpu; v.req += req; v.wall += n - t0; v.ns.push_back(cpu / (double)req); v.rate.push_back(req * 1e9 / (n - t0));
    }
    round++;
  }
  auto med = [](std::vector<double> x) { std::sort(x.begin(), x.end()); return x.empty() ? 0 : x[x.size() / 2]; };
  auto lowq = [](std::vector<double> x, double f) { std::sort(x.begin(), x.end()); return x.empty() ? 0 : x[(size_t)(x.size() * f)]; };
  for (auto& v : vs) {
    std::vector<double> r, rr; for (size_t i = 0; i < v.ns.size(); i++) { r.push_back(v.ns[i] / vs[0].ns[i]); rr.push_back(v.rate[i] / vs[0].rate[i]); }
    printf("port=%d rounds=%zu ns_med=%.0f ns_p10=%.0f ratio_ns=%.4f rps_med=%.0f rps_p90=%.0f ratio_rps=%.4f util=%.3f\n", v.port, v.ns.size(), med(v.ns), lowq(v.ns, .1), med(r), med(v.rate), lowq(v.rate, .9), med(rr), v.cpu / (double)v.wall);
  }
}
static void pingpong() {
  int port = N("port", 9000); size_t size = N("size", 64); double T = atof(S("time", "2").c_str()); bool echo = S("proto", "echo") == "echo"; bool spin = N("cspin", 0);
  int s = conn_to(port); std::string m = echo ? std::string(size, 'a') : std::string(REQ); size_t L = learn(s, m.data(), m.size(), echo, size);
  char buf[65536]; std::vector<uint32_t> v; v.reserve(1 << 20);
  uint64_t t0 = now_ns(), n = t0, tend = t0 + (uint64_t)(T * 1e9), cpu0 = now_ns(CLOCK_PROCESS_CPUTIME_ID);
  while (n < tend) {
    if (send(s, m.data(), m.size(), MSG_NOSIGNAL) < 0) die("send");
    size_t got = 0; while (got < L) { ssize_t r = recv(s, buf, sizeof buf, spin ? MSG_DONTWAIT : 0); if (r < 0 && errno == EAGAIN) continue; if (r <= 0) die("recv"); got += r; }
    uint64_t e = now_ns(); v.push_back(e - n); n = e;
  }
  double sec = (n - t0) / 1e9; size_t k = v.size(); std::sort(v.begin(), v.end());
  printf("p50=%u p90=%u p99=%u ", v[k / 2], v[k * 9 / 10], v[k * 99 / 100]);
  report("pingpong", k, sec, cpu0);
}
static void churn() {  // each slot: connect, one request, read to EOF or full response, close
  int port = N("port", 9000), nc = N("conns", 16); double T = atof(S("time", "3").c_str()); bool rst = N("rst", 1);
  size_t L; { int s = conn_to(port); L = learn(s, REQ, sizeof REQ - 1, false, 0); close(s); }
  int ep = epoll_create1(0); std::vector<size_t> got(1 << 16); sockaddr_in a{}; a.sin_family = AF_INET; a.sin_port = htons(port); a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  uint64_t req = 0, fail = 0; char buf[65536];
  auto open1 = [&] {
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1; linger l{1, 0};
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); if (rst) setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof l);  // no TIME_WAIT on the client side
    if (connect(s, (sockaddr*)&a, sizeof a)) { fail++; close(s); return; }
    if (send(s, REQ, sizeof REQ - 1, MSG_NOSIGNAL) < 0) { fail++; close(s); return; }
    got[s] = 0; epoll_event e{}; e.events = EPOLLIN; e.data.fd = s; epoll_ctl(ep, EPOLL_CTL_ADD, s, &e);
  };
  uint64_t cpu0 = now_ns(CLOCK_PROCESS_CPUTIME_ID), t0 = now_ns(), n = t0, tend = t0 + (uint64_t)(T * 1e9);
  for (int i = 0; i < nc; i++) open1();
  epoll_event ev[256];
  while (n < tend) {
    int k = epoll_wait(ep, ev, 256, 50);
    for (int i = 0; i < k; i++) { int s = ev[i].data.fd; ssize_t r = recv(s, buf, sizeof buf, MSG_DONTWAIT); if (r > 0) got[s] += r; if (r < 0 && errno == EAGAIN) continue; if (r <= 0 && got[s] < L) fail++; if (got[s] >= L || r <= 0) { if (got[s] >= L) req++; close(s); open1(); } }
    n = now_ns();
  }
  printf("fail=%lu ", fail); report("churn", req, (n - t0) / 1e9, cpu0);
}
static void hold() {  // open conns connections (each sends one request and reads the answer if warm=1), keep them idle
  int port = N("port", 9000), nc = N("conns", 10000); bool warm = N("warm", 1); rlimit r{65536, 65536}; setrlimit(RLIMIT_NOFILE, &r);
  std::vector<int> v; char b[4096];
  for (int i = 0; i < nc; i++) { int s = conn_to(port); if (warm) { if (send(s, REQ, sizeof REQ - 1, 0) < 0 || recv(s, b, sizeof b, 0) <= 0) die("warm"); } v.push_back(s); }
  printf("holding\n"); fflush(stdout);
  while (!g_stop) sleep(1);
}
int main(int ac, char** av) {
  signal(SIGPIPE, SIG_IGN);
  struct sigaction sa{}; sa.sa_handler = on_term; sigaction(SIGTERM, &sa, nullptr); sigaction(SIGINT, &sa, nullptr);
  for (int i = 2; i < ac; i++) { std::string s = av[i]; auto p = s.find('='); if (p != std::string::npos) A[s.substr(0, p)] = s.substr(p + 1); }
  std::string m = ac > 1 ? av[1] : "";
  if (m == "serve") serve(); else if (m == "client") client(); else if (m == "pingpong") pingpong(); else if (m == "churn") churn(); else if (m == "duel") duel(); else if (m == "hold") hold();
  else { fprintf(stderr, "usage: floor serve|client|duel|pingpong|churn|hold [key=value...] (see the top of floor.cpp)\n"); return 2; }
}
