// tokio's rows: one row, once. Prints "tokio", a tab, the value: ns of processor time an operation.
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{broadcast, mpsc, oneshot, Mutex, Notify, Semaphore};
use tokio::task::{yield_now, JoinSet};
use tokio::time::{sleep, sleep_until, Sleep};

const CAPACITY: usize = 1024;
const BATCH: usize = 64;
const FAN_OUT: usize = 8;
const RIVALS: usize = 4;
const AT_ONCE: usize = 1000;
const TREE: usize = 100;

extern "C" {
    fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
}

fn cpu() -> f64 {
    let mut t = [0i64; 2];
    unsafe { clock_gettime(2, &mut t) }; // CLOCK_PROCESS_CPUTIME_ID
    t[0] as f64 * 1e9 + t[1] as f64
}

fn per(begun: f64, n: usize) -> f64 {
    (cpu() - begun) / n as f64
}

fn current() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

async fn send_all(tx: mpsc::Sender<u64>, n: usize) {
    for i in 0..n as u64 {
        tx.send(i).await.unwrap();
    }
}

// Far senders run on a thread and a runtime of their own.
async fn mpsc_row(n: usize, senders: usize, batch: usize, far: bool) -> f64 {
    let (tx, mut rx) = mpsc::channel::<u64>(CAPACITY);
    let begun = cpu();
    let each = n / senders;
    if far {
        std::thread::spawn(move || {
            current().block_on(async {
                let mut all = JoinSet::new();
                for _ in 0..senders {
                    all.spawn(send_all(tx.clone(), each));
                }
                drop(tx);
                while all.join_next().await.is_some() {}
            })
        });
    } else {
        for _ in 0..senders {
            tokio::spawn(send_all(tx.clone(), each));
        }
        drop(tx);
    }
    let mut sum = 0;
    while let Some(v) = rx.recv().await {
        sum += v;
        for _ in 1..batch {
            match rx.try_recv() {
                Ok(v) => sum += v,
                Err(_) => break,
            }
        }
    }
    std::hint::black_box(sum);
    per(begun, n)
}

async fn oneshot_row(n: usize) -> f64 {
    let begun = cpu();
    let mut sum = 0;
    for i in 0..n as u64 {
        let (tx, rx) = oneshot::channel();
        tx.send(i).unwrap();
        sum += rx.await.unwrap();
    }
    std::hint::black_box(sum);
    per(begun, n)
}

// Half a ring at a time, so that nobody lags.
async fn broadcast_row(n: usize) -> f64 {
    let (tx, _) = broadcast::channel::<u64>(BATCH);
    let mut all = JoinSet::new();
    for _ in 0..FAN_OUT {
        let mut rx = tx.subscribe();
        all.spawn(async move {
            let mut delivered = 0;
            while rx.recv().await.is_ok() {
                delivered += 1;
            }
            delivered
        });
    }
    yield_now().await;
    let begun = cpu();
    for i in 0..n / FAN_OUT {
        tx.send(i as u64).unwrap();
        if i % (BATCH / 2) == 0 {
            yield_now().await;
        }
    }
    drop(tx);
    let mut delivered = 0;
    while let Some(d) = all.join_next().await {
        delivered += d.unwrap();
    }
    per(begun, delivered)
}

async fn mutex_row(n: usize, tasks: usize) -> f64 {
    let lock = Arc::new(Mutex::new(0u64));
    let begun = cpu();
    let mut all = JoinSet::new();
    for _ in 0..tasks {
        let lock = lock.clone();
        all.spawn(async move {
            for _ in 0..n / tasks {
                let mut guard = lock.lock().await;
                *guard += 1;
                if tasks > 1 {
                    yield_now().await;
                }
            }
        });
    }
    while all.join_next().await.is_some() {}
    per(begun, n)
}

async fn semaphore_row(n: usize, tasks: usize) -> f64 {
    let semaphore = Arc::new(Semaphore::new(2));
    let begun = cpu();
    let mut all = JoinSet::new();
    for _ in 0..tasks {
        let semaphore = semaphore.clone();
        all.spawn(async move {
            for _ in 0..n / tasks {
                let _permit = semaphore.acquire().await.unwrap();
                if tasks > 1 {
                    yield_now().await;
                }
            }
        });
    }
    while all.join_next().await.is_some() {}
    per(begun, n)
}

async fn select_row(n: usize) -> f64 {
    let (a, mut from_a) = mpsc::channel::<u64>(CAPACITY);
    let (b, mut from_b) = mpsc::channel::<u64>(CAPACITY);
    let begun = cpu();
    tokio::spawn(send_all(a, n / 2));
    tokio::spawn(send_all(b, n / 2));
    let mut sum = 0;
    for _ in 0..n / 2 * 2 {
        tokio::select! {
            Some(v) = from_a.recv() => sum += v,
            Some(v) = from_b.recv() => sum += v,
        }
    }
    std::hint::black_box(sum);
    per(begun, n)
}

async fn spawn_row(n: usize) -> f64 {
    let begun = cpu();
    let rounds = (n + AT_ONCE - 1) / AT_ONCE;
    for _ in 0..rounds {
        let mut tasks = Vec::with_capacity(AT_ONCE);
        for i in 0..AT_ONCE {
            tasks.push(tokio::spawn(async move { i }));
        }
        for task in tasks {
            std::hint::black_box(task.await.unwrap());
        }
    }
    per(begun, rounds * AT_ONCE)
}

fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}

async fn idle_row(n: usize) -> f64 {
    let stop = Arc::new(Notify::new());
    let before = resident();
    for _ in 0..n {
        let stop = stop.clone();
        tokio::spawn(async move { stop.notified().await });
    }
    sleep(Duration::from_millis(20)).await;
    (resident() - before) / n as f64
}

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

// Polls each once, which is what arms it.
struct Arm<'a>(&'a mut Vec<Option<Pin<Box<Sleep>>>>);

impl Future for Arm<'_> {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        for each in self.0.iter_mut().flatten() {
            let _ = each.as_mut().poll(cx);
        }
        Poll::Ready(())
    }
}

async fn timer_set(n: usize) -> f64 {
    let mut rng = Rng(7);
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, rng.below(i as u64 + 1) as usize);
    }
    let base = tokio::time::Instant::now() + Duration::from_secs(10);
    let begun = cpu();
    let mut each: Vec<_> = (0..n)
        .map(|_| Some(Box::pin(sleep_until(base + Duration::from_millis(rng.below(60000))))))
        .collect();
    Arm(&mut each).await;
    for i in order {
        each[i] = None;
    }
    per(begun, n)
}

async fn timer_fire(n: usize) -> f64 {
    let mut rng = Rng(11);
    let wait = Duration::from_nanos(n as u64 * 1500) + Duration::from_millis(20);
    let due = tokio::time::Instant::now() + wait;
    let mut each: Vec<_> = (0..n)
        .map(|_| Some(Box::pin(sleep_until(due + Duration::from_micros(rng.below(20000))))))
        .collect();
    Arm(&mut each).await;
    let late = due + Duration::from_millis(25);
    std::thread::sleep(late.saturating_duration_since(tokio::time::Instant::now()));
    let begun = cpu();
    for timer in each.into_iter().flatten() {
        timer.await;
    }
    per(begun, n)
}

async fn cancel_tree(n: usize) -> f64 {
    let stop = Arc::new(Notify::new());
    let mut all = JoinSet::new();
    for _ in 0..TREE {
        let stop = stop.clone();
        all.spawn(async move {
            let mut leaves = JoinSet::new();
            for _ in 0..n / TREE - 1 {
                leaves.spawn(sleep(Duration::from_secs(100000)));
            }
            stop.notified().await;
            leaves.abort_all();
            while leaves.join_next().await.is_some() {}
        });
    }
    sleep(Duration::from_millis(50)).await;
    let begun = cpu();
    stop.notify_waiters();
    while all.join_next().await.is_some() {}
    per(begun, n)
}

fn hash(first: u64, end: u64) -> u64 {
    let mut h = 0u64;
    for i in first..end {
        let mut x = i.wrapping_add(0x9e3779b97f4a7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58476d1ce4e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d049bb133111eb);
        h ^= x ^ (x >> 31);
    }
    h
}

async fn parallel(n: usize) -> f64 {
    let n = n as u64;
    let t0 = Instant::now();
    let alone = hash(0, n);
    let t1 = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let grain = n / 256 + 1;
    let mut all = JoinSet::new();
    for _ in 0..2 {
        let next = next.clone();
        all.spawn(async move {
            let mut h = 0;
            loop {
                let first = next.fetch_add(grain, Ordering::Relaxed);
                if first >= n {
                    return h;
                }
                h ^= hash(first, n.min(first + grain));
            }
        });
    }
    let mut together = 0;
    while let Some(h) = all.join_next().await {
        together ^= h.unwrap();
    }
    let t2 = Instant::now();
    assert_eq!(alone, together);
    (t1 - t0).as_secs_f64() / (t2 - t1).as_secs_f64()
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let row = args.get(1).map(String::as_str).unwrap_or("");
    let n: usize = args.get(2).and_then(|n| n.parse().ok()).unwrap_or(0);
    let value = if row == "parallel" {
        let two = Builder::new_multi_thread().worker_threads(2).build().unwrap();
        two.block_on(parallel(n))
    } else {
        current().block_on(async {
            match row {
                "mpsc-1" => mpsc_row(n, 1, 1, false).await,
                "mpsc-4" => mpsc_row(n, 4, 1, false).await,
                "mpsc-batch" => mpsc_row(n, 1, BATCH, false).await,
                "mpsc-1-far" => mpsc_row(n, 1, 1, true).await,
                "mpsc-4-far" => mpsc_row(n, 4, 1, true).await,
                "mpsc-batch-far" => mpsc_row(n, 1, BATCH, true).await,
                "oneshot" => oneshot_row(n).await,
                "broadcast" => broadcast_row(n).await,
                "mutex-free" => mutex_row(n, 1).await,
                "mutex-busy" => mutex_row(n, RIVALS).await,
                "semaphore-free" => semaphore_row(n, 1).await,
                "semaphore-busy" => semaphore_row(n, RIVALS).await,
                "select" => select_row(n).await,
                "spawn" => spawn_row(n).await,
                "idle" => idle_row(n).await,
                "timer-set-10k" | "timer-set-1m" => timer_set(n).await,
                "timer-fire-10k" | "timer-fire-1m" => timer_fire(n).await,
                "cancel-tree" => cancel_tree(n).await,
                _ => {
                    eprintln!("usage: ROW OPERATIONS");
                    std::process::exit(2)
                }
            }
        })
    };
    println!("tokio\t{:.3}", value);
}
