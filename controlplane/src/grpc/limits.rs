//! `LimitService`.

use std::collections::HashSet;

use balancer_proto::v1::{self, limit_service_server::LimitService};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{invalid, refused};
use crate::{
    convert,
    domain::{ClientId, Invalid, Limit},
    plane::Plane,
};

const DEFAULT_PAGE: u32 = 100;
const MAX_PAGE: u32 = 5_000;
/// Most limits in one batch of an import.
const MAX_BATCH: usize = 5_000;

#[tonic::async_trait]
impl LimitService for Plane {
    async fn create_limit(
        &self,
        request: Request<v1::CreateLimitRequest>,
    ) -> Result<Response<v1::CreateLimitResponse>, Status> {
        let (id, limit) = convert::new_limit(request.into_inner().limit).map_err(invalid)?;
        let revision = self.counted(self.store.create_limit(&id, limit).await).map_err(refused)?;
        Ok(Response::new(v1::CreateLimitResponse { revision }))
    }

    async fn get_limit(&self, request: Request<v1::GetLimitRequest>) -> Result<Response<v1::GetLimitResponse>, Status> {
        let id = convert::client_id(&request.into_inner().client_id).map_err(invalid)?;
        let stored = self.counted(self.store.get_limit(&id).await).map_err(refused)?;
        let limit = Some(convert::limit(stored.client_id.as_str(), stored.limit));
        Ok(Response::new(v1::GetLimitResponse { limit, revision: stored.revision }))
    }

    async fn update_limit(
        &self,
        request: Request<v1::UpdateLimitRequest>,
    ) -> Result<Response<v1::UpdateLimitResponse>, Status> {
        let (id, capacity, rate) = convert::partial_limit(request.into_inner().limit).map_err(invalid)?;
        let stored = self.counted(self.store.update_limit(&id, capacity, rate).await).map_err(refused)?;
        let limit = Some(convert::limit(stored.client_id.as_str(), stored.limit));
        Ok(Response::new(v1::UpdateLimitResponse { limit, revision: stored.revision }))
    }

    async fn set_limit(&self, request: Request<v1::SetLimitRequest>) -> Result<Response<v1::SetLimitResponse>, Status> {
        let (id, limit) = convert::new_limit(request.into_inner().limit).map_err(invalid)?;
        let (created, revision) = self.counted(self.store.set_limit(&id, limit).await).map_err(refused)?;
        Ok(Response::new(v1::SetLimitResponse { created, revision }))
    }

    async fn delete_limit(
        &self,
        request: Request<v1::DeleteLimitRequest>,
    ) -> Result<Response<v1::DeleteLimitResponse>, Status> {
        let id = convert::client_id(&request.into_inner().client_id).map_err(invalid)?;
        let revision = self.counted(self.store.delete_limit(&id).await).map_err(refused)?;
        Ok(Response::new(v1::DeleteLimitResponse { revision }))
    }

    async fn list_limits(
        &self,
        request: Request<v1::ListLimitsRequest>,
    ) -> Result<Response<v1::ListLimitsResponse>, Status> {
        let request = request.into_inner();
        let count = if request.page_size == 0 { DEFAULT_PAGE } else { request.page_size.min(MAX_PAGE) };
        let after = after(&request.page_token).map_err(invalid)?;
        // One more than asked for tells whether there is a further page.
        let found = self.store.list_limits(&request.prefix, after.as_ref(), count + 1).await;
        let mut page = self.counted(found).map_err(refused)?;
        let more = page.len() > count as usize;
        page.truncate(count as usize);
        let last = page.last().filter(|_| more).map(|stored| stored.client_id.as_str().to_owned());
        let limits = page.iter().map(|s| convert::limit(s.client_id.as_str(), s.limit)).collect();
        Ok(Response::new(v1::ListLimitsResponse { limits, next_page_token: last.unwrap_or_default() }))
    }

    type ImportLimitsStream = ReceiverStream<Result<v1::ImportLimitsResponse, Status>>;

    async fn import_limits(
        &self,
        request: Request<Streaming<v1::ImportLimitsRequest>>,
    ) -> Result<Response<Self::ImportLimitsStream>, Status> {
        // One answer may wait for the client; then the next batch waits for it.
        let (send, receive) = mpsc::channel(1);
        tokio::spawn(import(self.clone(), request.into_inner(), send));
        Ok(Response::new(ReceiverStream::new(receive)))
    }
}

/// The page token is the last client_id of the page before.
fn after(token: &str) -> Result<Option<ClientId>, Invalid> {
    if token.is_empty() {
        return Ok(None);
    }
    let fault = |_| Invalid { field: "page_token", expected: "expected the next_page_token of the page before".into() };
    ClientId::existing(token).map(Some).map_err(fault)
}

async fn import(
    plane: Plane,
    mut batches: Streaming<v1::ImportLimitsRequest>,
    answers: mpsc::Sender<Result<v1::ImportLimitsResponse, Status>>,
) {
    loop {
        let answer = match plane.shutdown.run_until_cancelled(batches.message()).await {
            None => Err(Status::unavailable("the control plane is shutting down")),
            Some(Ok(None)) => return,
            Some(Ok(Some(batch))) => store(&plane, batch).await,
            Some(Err(status)) => Err(status),
        };
        let failed = answer.is_err();
        if answers.send(answer).await.is_err() || failed {
            return;
        }
    }
}

async fn store(plane: &Plane, batch: v1::ImportLimitsRequest) -> Result<v1::ImportLimitsResponse, Status> {
    let limits = checked(batch.limits).map_err(invalid)?;
    let stored = limits.len() as u64;
    let revision = plane.counted(plane.store.import_limits(limits).await).map_err(refused)?;
    Ok(v1::ImportLimitsResponse { stored, revision })
}

fn checked(limits: Vec<v1::Limit>) -> Result<Vec<(ClientId, Limit)>, Invalid> {
    if limits.is_empty() || limits.len() > MAX_BATCH {
        let expected = format!("expected 1 to {MAX_BATCH} limits in a batch, got {}", limits.len());
        return Err(Invalid { field: "limits", expected });
    }
    let mut seen = HashSet::with_capacity(limits.len());
    let mut checked = Vec::with_capacity(limits.len());
    for (index, wire) in limits.into_iter().enumerate() {
        let place = |i: Invalid| Invalid { expected: format!("{} (limits[{index}])", i.expected), ..i };
        let (id, limit) = convert::new_limit(Some(wire)).map_err(place)?;
        if !seen.insert(id.clone()) {
            let expected = format!("expected each client once in a batch, but {:?} occurs again", id.as_str());
            return Err(place(Invalid { field: "client_id", expected }));
        }
        checked.push((id, limit));
    }
    Ok(checked)
}
