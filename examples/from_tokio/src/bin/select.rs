// A message or a timeout, whichever comes first: asked twice, once for each to happen.
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;

async fn receive(rx: &mut mpsc::Receiver<i32>, timeout: Duration) {
    tokio::select! {
        biased;
        Some(message) = rx.recv() => println!("message {}", message),
        _ = sleep(timeout) => println!("timeout"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (tx, mut rx) = mpsc::channel(1);
    let keep = tx.clone(); // without it the channel would end, which is neither case
    tokio::spawn(async move {
        sleep(Duration::from_millis(1)).await;
        tx.send(7).await.unwrap();
    });
    receive(&mut rx, Duration::from_secs(60)).await;
    receive(&mut rx, Duration::from_millis(1)).await;
    drop(keep);
}
