//! `test-backend`: the echo backend as a program.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::args::Args;

mod args;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match serve(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("test-backend: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Args) -> Result<()> {
    let speech = args.speech()?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!(
            "cannot listen on {}: choose another address with --listen or BALANCER_TEST_BACKEND_LISTEN",
            args.listen
        )
    })?;
    args.log_format.log_listening(listener.local_addr()?);
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(test_backend::run_speaking(listener, args.name, speech, shutdown.clone()));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    shutdown.cancel();
    Ok(server.await??)
}
