//! `BackendService`.

use balancer_proto::v1::{
    self, backend_service_server::BackendService, remove_backend_request, update_backend_request,
};
use tonic::{Request, Response, Status};

use super::{invalid, refused};
use crate::{convert, domain::Source, plane::Plane};

/// Which backend a request means; the selectors of different requests are different types of one shape.
macro_rules! key {
    ($request:ident, $selector:expr) => {
        match $selector {
            Some($request::Selector::Id(id)) => convert::backend_key(Some(*id), None),
            Some($request::Selector::Url(url)) => convert::backend_key(None, Some(url)),
            None => convert::backend_key(None, None),
        }
    };
}

#[tonic::async_trait]
impl BackendService for Plane {
    async fn add_backend(
        &self,
        request: Request<v1::AddBackendRequest>,
    ) -> Result<Response<v1::AddBackendResponse>, Status> {
        let spec = convert::backend_spec(request.get_ref()).map_err(invalid)?;
        let added = self.store.add_backend(&spec, Source::Api).await;
        let (backend, revision) = self.counted(added).map_err(refused)?;
        Ok(Response::new(v1::AddBackendResponse { backend: Some(convert::backend(&backend)), revision }))
    }

    async fn list_backends(
        &self,
        _: Request<v1::ListBackendsRequest>,
    ) -> Result<Response<v1::ListBackendsResponse>, Status> {
        let listed = self.counted(self.store.list_backends().await).map_err(refused)?;
        let observations = self.book.observations();
        let backends = listed.iter().map(|b| convert::backend_status(b, observations.get(&b.id))).collect();
        Ok(Response::new(v1::ListBackendsResponse { backends }))
    }

    async fn update_backend(
        &self,
        request: Request<v1::UpdateBackendRequest>,
    ) -> Result<Response<v1::UpdateBackendResponse>, Status> {
        let key = key!(update_backend_request, &request.get_ref().selector).map_err(invalid)?;
        let change = convert::backend_change(request.get_ref()).map_err(invalid)?;
        let updated = self.store.update_backend(&key, &change).await;
        let (backend, revision) = self.counted(updated).map_err(refused)?;
        Ok(Response::new(v1::UpdateBackendResponse { backend: Some(convert::backend(&backend)), revision }))
    }

    async fn remove_backend(
        &self,
        request: Request<v1::RemoveBackendRequest>,
    ) -> Result<Response<v1::RemoveBackendResponse>, Status> {
        let key = key!(remove_backend_request, &request.get_ref().selector).map_err(invalid)?;
        let revision = self.counted(self.store.remove_backend(&key).await).map_err(refused)?;
        Ok(Response::new(v1::RemoveBackendResponse { revision }))
    }
}
