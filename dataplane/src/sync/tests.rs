mod control_plane;
mod steps;
mod stream;
mod tls;
