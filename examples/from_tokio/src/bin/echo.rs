// An echo server, one task a connection, and a client of it in the same program.
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let mut data = [0; 16384];
    loop {
        let n = stream.read(&mut data).await?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(&data[..n]).await?;
    }
}

async fn serve(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(echo(stream)); // nobody's: it outlives serve()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let server = tokio::spawn(serve(listener));
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(b"hello").await?;
    stream.shutdown().await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    println!("{}", text);
    server.abort();
    Ok(())
}
