//! The connection to a control plane.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use balancer_proto::v1::{
    backend_service_client::BackendServiceClient, limit_service_client::LimitServiceClient,
    status_service_client::StatusServiceClient,
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use crate::{cli::GlobalArgs, fault, tls};

/// A connected control plane.
pub(crate) struct Client {
    channel: Channel,
    endpoint: String,
    timeout: Duration,
    auth: Auth,
}

/// Adds the token to every call.
#[derive(Clone)]
pub(crate) struct Auth(Option<MetadataValue<Ascii>>);

/// A channel that adds the token.
pub(crate) type Transport = InterceptedService<Channel, Auth>;

impl Client {
    /// Connects within the time-out.
    pub(crate) async fn connect(args: &GlobalArgs) -> Result<Self> {
        let endpoint = with_scheme(&args.endpoint)?;
        let auth = Auth(args.token.as_deref().filter(|t| !t.is_empty()).map(bearer).transpose()?);
        let target = Endpoint::from_shared(endpoint.clone())
            .with_context(|| {
                format!("--endpoint: expected http://host:port or https://host:port, got {:?}", args.endpoint)
            })?
            .connect_timeout(args.timeout)
            // A control plane that vanished without a word must not hang `top` or an import.
            .http2_keep_alive_interval(Duration::from_secs(10))
            .user_agent(concat!("balancerctl/", env!("CARGO_PKG_VERSION")))?;
        let target = tls::secure(target, args)?;
        let channel = target.connect().await.map_err(|e| fault::unreachable(&endpoint, &e))?;
        Ok(Self { channel, endpoint, timeout: args.timeout, auth })
    }

    pub(crate) fn limits(&self) -> LimitServiceClient<Transport> {
        LimitServiceClient::with_interceptor(self.channel.clone(), self.auth.clone())
    }

    pub(crate) fn backends(&self) -> BackendServiceClient<Transport> {
        BackendServiceClient::with_interceptor(self.channel.clone(), self.auth.clone())
    }

    pub(crate) fn status(&self) -> StatusServiceClient<Transport> {
        StatusServiceClient::with_interceptor(self.channel.clone(), self.auth.clone())
    }

    /// A call that is to be answered within the time-out. Not for streams.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        request
    }

    /// What a failed call means.
    pub(crate) fn explain(&self, status: &Status) -> anyhow::Error {
        fault::explain(status, &self.endpoint, self.timeout, self.auth.0.is_some())
    }

    /// Waits for one answer of a stream, as long as the time-out and `longer`.
    pub(crate) async fn within<T>(
        &self,
        longer: Duration,
        answer: impl Future<Output = Result<T, Status>>,
    ) -> Result<T> {
        match tokio::time::timeout(self.timeout + longer, answer).await {
            Ok(answer) => answer.map_err(|status| self.explain(&status)),
            Err(_) => Err(fault::too_slow(&self.endpoint, self.timeout)),
        }
    }
}

impl Interceptor for Auth {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(bearer) = &self.0 {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        Ok(request)
    }
}

fn bearer(token: &str) -> Result<MetadataValue<Ascii>> {
    let mut value: MetadataValue<Ascii> = format!("Bearer {token}")
        .parse()
        .map_err(|_| anyhow!("the token holds characters that cannot be sent: check --token or BALANCER_TOKEN"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// `host:port` is as good as `http://host:port`.
fn with_scheme(endpoint: &str) -> Result<String> {
    // It is not repeated: what stands before the @ may be a password.
    if endpoint.contains('@') {
        bail!("--endpoint: expected no user and no password in it; a token goes into BALANCER_TOKEN");
    }
    match endpoint.split_once("://") {
        None => Ok(format!("http://{endpoint}")),
        Some(("http" | "https", _)) => Ok(endpoint.trim_end_matches('/').to_owned()),
        Some(_) => bail!("--endpoint: expected http://host:port or https://host:port, got {endpoint:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_may_lack_the_scheme() {
        assert_eq!(with_scheme("h:9090").unwrap(), "http://h:9090");
        assert_eq!(with_scheme("http://h:9090/").unwrap(), "http://h:9090");
        assert_eq!(with_scheme("https://h:9090/").unwrap(), "https://h:9090");
        assert!(with_scheme("ftp://h").is_err());
        for with_password in ["http://me:hush@h:1", "me:hush@h:1", "ftp://me:hush@h"] {
            assert!(!with_scheme(with_password).unwrap_err().to_string().contains("hush"));
        }
    }

    #[test]
    fn token_never_shows_in_debug_output() {
        assert!(!format!("{:?}", bearer("hush").unwrap()).contains("hush"));
        assert!(bearer("a\nb").is_err());
    }
}
