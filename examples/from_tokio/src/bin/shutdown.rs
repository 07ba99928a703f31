// Shutdown that loses nothing: a worker carries jobs from an inbox to an outbox, slowly, and is
// cancelled in the middle of it. abort() drops the future at whatever await it stands: between a
// recv() and a send() the job would be gone. The order below makes it safe; nothing checks it.
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;

const JOBS: usize = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (inbox_in, inbox) = mpsc::channel::<usize>(JOBS);
    let (outbox_in, mut outbox) = mpsc::channel::<usize>(JOBS);
    for job in 0..JOBS {
        inbox_in.send(job).await.unwrap();
    }
    // What is left must survive the worker, and it needs it mutably: hence the lock.
    let inbox = std::sync::Arc::new(tokio::sync::Mutex::new(inbox));
    let theirs = inbox.clone();
    let worker = tokio::spawn(async move {
        let mut inbox = theirs.lock().await;
        loop {
            let room = outbox_in.reserve().await.unwrap();
            let job = inbox.recv().await.unwrap();
            room.send(job);
            sleep(Duration::from_millis(1)).await;
        }
    });
    sleep(Duration::from_millis(5)).await;
    worker.abort();
    let _: Result<(), _> = worker.await; // without this line it may still be running
    let mut done = 0;
    while outbox.try_recv().is_ok() {
        done += 1;
    }
    let mut left = 0;
    let mut inbox = inbox.lock().await;
    while inbox.try_recv().is_ok() {
        left += 1;
    }
    let both = done > 0 && left > 0;
    println!("{} jobs, {}", done + left, if both { "some done, some left" } else { "?" });
}
