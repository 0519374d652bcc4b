use super::*;
use crate::{
    domain::{ClientId, ClientRules, LimitScope, Settings, Strategy},
    store::Loaded,
};

fn limit(capacity: f64) -> Limit {
    Limit::new(capacity, 1.0).unwrap()
}

fn image(default_limit: DefaultLimit) -> Image {
    let client = ClientRules { header: None, trusted_proxies: Vec::new(), ipv6_prefix: 64 };
    let (strategy, limit_scope) = (Strategy::Random, LimitScope::Global);
    let settings = Settings { default_limit, strategy, client, backend_ca: None, limit_scope };
    let named = ["gold", "1.1.1.1:80", "1.1.1.1", "2001:db8::1"];
    let limits = (1..).zip(named).map(|(n, id)| (ClientId::new(id).unwrap(), limit(f64::from(n)))).collect();
    let (store_id, settings) = ("s".into(), Some(settings));
    Image::new(Loaded { store_id, revision: 1, mark: 1, limits, backends: Vec::new(), settings }, 0)
}

#[test]
fn the_limit_is_the_one_the_data_planes_find() {
    let image = image(DefaultLimit::Limited(limit(9.0)));
    for (client, bucket, whose, capacity) in [
        ("gold", "gold", Whose::Own, 1.0),
        ("1.1.1.1:80", "1.1.1.1:80", Whose::Own, 2.0),
        ("::ffff:1.1.1.1", "1.1.1.1", Whose::Own, 3.0),
        ("1.1.1.1:81", "1.1.1.1", Whose::Own, 3.0),
        ("[2001:db8::1]:7", "2001:db8::1", Whose::Own, 4.0),
        ("2.2.2.2:5", "2.2.2.2", Whose::Default, 9.0),
        ("[2001:db8::2]", "2001:db8::/64", Whose::Default, 9.0),
    ] {
        let found = applied(&image, client).unwrap();
        let key = match whose {
            Whose::Own => lease_key::of_client(bucket),
            Whose::Default => lease_key::of_address(address(client).unwrap().0, 64),
        };
        let expected = Applied { whose, bucket: bucket.into(), limit: Some(limit(capacity)), key };
        assert_eq!(found, expected, "{client}");
    }
    assert_eq!(applied(&image, "silver"), None);
}

#[test]
fn the_default_may_be_that_there_is_none() {
    let found = applied(&image(DefaultLimit::Unlimited), "2.2.2.2").unwrap();
    assert_eq!((found.whose, found.limit), (Whose::Default, None));
}
