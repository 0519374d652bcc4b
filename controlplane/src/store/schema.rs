//! The tables as diesel sees them; columns that only people read are left out. `migrations/` explains every column.

diesel::table! {
    meta (id) {
        id -> SmallInt,
        store_id -> Text,
        revision -> BigInt,
        tombstone_horizon -> BigInt,
        tombstone_count -> BigInt,
        backends_revision -> BigInt,
        legacy_imported_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    revisions (revision) {
        revision -> BigInt,
        mark -> BigInt,
    }
}

diesel::table! {
    authority (id) {
        id -> SmallInt,
        epoch -> BigInt,
        address -> Text,
    }
}

diesel::table! {
    replicas (replica_id) {
        replica_id -> Text,
    }
}

diesel::table! {
    limits (client_id) {
        client_id -> Text,
        capacity -> Double,
        rate_per_sec -> Double,
        revision -> BigInt,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    limit_tombstones (client_id) {
        client_id -> Text,
        revision -> BigInt,
    }
}

diesel::table! {
    backends (id) {
        id -> BigInt,
        url -> Text,
        weight -> Integer,
        admin_state -> Text,
        source -> Text,
        health_method -> Text,
        health_path -> Text,
        health_interval_ms -> Nullable<BigInt>,
        health_timeout_ms -> BigInt,
        health_rise -> BigInt,
        health_fall -> BigInt,
        health_status_min -> Integer,
        health_status_max -> Integer,
        revision -> BigInt,
    }
}

diesel::table! {
    settings (id) {
        id -> SmallInt,
        default_capacity -> Nullable<Double>,
        default_rate_per_sec -> Nullable<Double>,
        strategy -> Text,
        client_header -> Nullable<Text>,
        trusted_proxies -> Text,
        ipv6_prefix -> SmallInt,
        revision -> BigInt,
        backend_ca -> Nullable<Text>,
        limit_scope -> Text,
    }
}
