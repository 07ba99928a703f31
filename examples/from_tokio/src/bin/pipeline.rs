// A pipeline: produce, square, sum. Each stage waits when the next one is behind.
use tokio::sync::mpsc;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (numbers_in, mut numbers) = mpsc::channel::<u64>(16);
    let (squares_in, mut squares) = mpsc::channel::<u64>(16);
    tokio::spawn(async move {
        for i in 1..=1000 {
            numbers_in.send(i).await.unwrap();
        }
    });
    tokio::spawn(async move {
        while let Some(n) = numbers.recv().await {
            squares_in.send(n * n).await.unwrap();
        }
    });
    let mut sum = 0;
    while let Some(n) = squares.recv().await {
        sum += n;
    }
    println!("sum of squares {}", sum);
}
