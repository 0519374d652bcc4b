//! The gRPC services, one file each.

mod backends;
mod data_plane;
mod limits;
mod status;

use balancer_proto::{
    DESCRIPTORS,
    v1::{
        backend_service_server::BackendServiceServer, limit_service_server::LimitServiceServer,
        status_service_server::StatusServiceServer,
    },
};
use tonic::{Status, service::Routes};

use crate::{domain::Invalid, plane::Plane, store::StoreError};

/// All services, with health and reflection.
pub(crate) fn routes(plane: Plane) -> Routes {
    // The services are there for as long as the port is: the reporter's default says so.
    let (_, health) = tonic_health::server::health_reporter();
    let mut routes = Routes::builder();
    routes
        .add_service(health)
        .add_service(LimitServiceServer::new(plane.clone()))
        .add_service(BackendServiceServer::new(plane.clone()))
        .add_service(StatusServiceServer::new(plane.clone()))
        .add_service(data_plane::DataPlaneService::new(plane));
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    match (reflection().build_v1(), reflection().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => _ = routes.add_service(v1).add_service(v1alpha),
        (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "gRPC reflection is off"),
    }
    routes.routes()
}

/// What a data plane needs, and no more.
pub(crate) fn data_plane_routes(plane: Plane) -> Routes {
    Routes::new(data_plane::DataPlaneService::new(plane))
}

fn invalid(invalid: Invalid) -> Status {
    Status::invalid_argument(invalid.to_string())
}

fn refused(error: StoreError) -> Status {
    let message = error.to_string();
    match error {
        StoreError::Invalid(_) => Status::invalid_argument(message),
        StoreError::NotFound(_) => Status::not_found(message),
        StoreError::AlreadyExists(_) => Status::already_exists(message),
        StoreError::BackendInFile(_) => Status::failed_precondition(message),
        StoreError::Unavailable(_) | StoreError::Refused(_) => Status::unavailable(message),
        StoreError::Full(_) => Status::resource_exhausted(message),
        _ => {
            tracing::error!(error = message, "a gRPC call failed");
            Status::internal(message)
        }
    }
}
