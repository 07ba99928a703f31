// Three children, one of which fails: the others are cancelled, clean up, and are waited for.
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

struct Cleanup(Arc<AtomicU32>);

impl Drop for Cleanup {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed); // must not wait
    }
}

async fn fetch(cleanup: Cleanup) -> Result<(), u32> {
    sleep(Duration::from_secs(60)).await;
    drop(cleanup);
    Ok(())
}

async fn fail() -> Result<(), u32> {
    sleep(Duration::from_millis(1)).await;
    Err(404)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let cleaned_up = Arc::new(AtomicU32::new(0));
    let mut children = JoinSet::new();
    children.spawn(fetch(Cleanup(cleaned_up.clone())));
    children.spawn(fetch(Cleanup(cleaned_up.clone())));
    children.spawn(fail());
    let mut failure = None;
    while let Some(ended) = children.join_next().await {
        if let Ok(Err(code)) = ended {
            failure = Some(code);
            children.abort_all(); // and go on joining
        }
    }
    let cleaned_up = cleaned_up.load(Ordering::Relaxed);
    println!("failed with {}, {} siblings cleaned up", failure.unwrap(), cleaned_up);
}
