// A hyper hello server on tokio's current-thread runtime: hyper-hello PORT BODY_FILE.
use hyper::{header, server::conn::Http, service::service_fn, Body, Request, Response};
use std::convert::Infallible;
use tokio::net::TcpListener;

async fn serve(big: hyper::body::Bytes, req: Request<Body>) -> Result<Response<Body>, Infallible> {
    let large = req.uri().path() == "/64k";
    let body = if large { Body::from(big) } else { Body::from("Hello, World!") };
    Ok(Response::builder().header(header::CONTENT_TYPE, "text/plain").body(body).unwrap())
}

fn main() {
    let a: Vec<String> = std::env::args().collect();
    let big = hyper::body::Bytes::from(std::fs::read(&a[2]).unwrap());
    let rt = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    tokio::task::LocalSet::new().block_on(&rt, async move {
        let listener = TcpListener::bind(format!("127.0.0.1:{}", a[1])).await.unwrap();
        loop {
            let Ok((s, _)) = listener.accept().await else { continue };
            let _ = s.set_nodelay(true);
            let big = big.clone();
            tokio::task::spawn_local(async move {
                let service = service_fn(|r| serve(big.clone(), r));
                let _ = Http::new().http1_only(true).pipeline_flush(true)
                    .serve_connection(s, service).await;
            });
        }
    });
}
