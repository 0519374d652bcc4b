//! The program as a process: exit codes, messages, pipes. No control plane needed.

// The lint lets #[test] functions off by itself, but not what they call.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Output, Stdio},
};

fn balancerctl(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_balancerctl"));
    for name in ["ENDPOINT", "TOKEN", "CA", "CERT", "KEY"] {
        command.env_remove(format!("BALANCER_{name}"));
    }
    command.args(args);
    command
}

fn run(args: &[&str]) -> Output {
    balancerctl(args).output().unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Reads the connection preface, then frames up to the first HEADERS (RFC 9113, sections 3.4 and 4.1).
fn read_http2_request(stream: &mut TcpStream) {
    const HEADERS: u8 = 1;
    stream.read_exact(&mut [0; 24]).unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let len = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        stream.read_exact(&mut vec![0; len]).unwrap();
        if head[3] == HEADERS {
            return;
        }
    }
}

/// An address of this machine where nobody listens.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn wrong_usage_exits_2() {
    for args in [
        &[][..],
        &["limits"],
        &["limits", "set", "a"],
        &["limits", "set", "a", "--capacity", "x"],
        &["limits", "list", "--limit", "0"],
        &["limits", "import", "a.csv", "--batch-size", "5001"],
        &["backends", "add", "http://a", "--weight", "0"],
        &["status", "-o", "xml"],
        &["explain"],
        &["top", "--interval", "1ms"],
        &["completions", "tcsh"],
        &["nonsense"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn an_unreachable_control_plane_is_one_line_that_helps() {
    let address = nobody();
    for args in [&["status"][..], &["limits", "list"], &["backends", "list"], &["top"], &["limits", "get", "a"]] {
        let output = balancerctl(args).env("BALANCER_ENDPOINT", format!("http://{address}")).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let expected = format!(
            "error: cannot reach the control plane at http://{address} (connection refused): is it running? \
             set --endpoint or BALANCER_ENDPOINT\n"
        );
        assert_eq!(stderr(&output), expected);
    }
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = silent.local_addr().unwrap().to_string();
    let output = run(&["status", "--endpoint", &endpoint, "--timeout", "200ms"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no answer from http://127.0.0.1:"), "{}", stderr(&output));
}

#[test]
fn a_server_of_another_kind_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_http2_request(&mut stream);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        // Until the client gives up; a reset is as good as an end.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let output = run(&["status", "--endpoint", &endpoint]);
    server.join().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.starts_with(&format!("error: lost the connection to http://{endpoint} (")), "{said}");
    assert!(said.ends_with("): is it a control plane's admin port, and still running?\n"), "{said}");
}

#[test]
fn a_wrong_endpoint_is_named() {
    let output = run(&["status", "--endpoint", "ftp://a"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "error: --endpoint: expected http://host:port or https://host:port, got \"ftp://a\"\n");
}

#[test]
fn a_password_in_the_endpoint_is_refused_and_never_shown() {
    for endpoint in ["http://me:hush@127.0.0.1:1", "me:hush@127.0.0.1:1", "ftp://me:hush@h"] {
        for args in [&["status", "--endpoint", endpoint][..], &["top", "--ca", "x", "--endpoint", endpoint]] {
            let output = run(args);
            assert_eq!(output.status.code(), Some(1));
            assert!(
                stderr(&output).contains("--endpoint: expected no user and no password in it"),
                "{}",
                stderr(&output)
            );
            assert!(!stderr(&output).contains("hush"), "{}", stderr(&output));
        }
        let help = balancerctl(&["status", "--help"]).env("BALANCER_ENDPOINT", endpoint).output().unwrap();
        assert!(!String::from_utf8(help.stdout).unwrap().contains("hush"));
    }
}

#[test]
fn tls_is_used_or_refused_but_never_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let (none, https) = (folder.path().join("none.pem"), format!("https://{}", nobody()));
    let none = none.to_str().unwrap();
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    let empty = empty.to_str().unwrap();
    for (args, said) in [
        (&["--endpoint", "http://h:1", "--ca", empty][..], "expected --endpoint https://host:port, got \"http://h:1\""),
        (&["--endpoint", &https, "--ca", none], "--ca: cannot read"),
        (&["--endpoint", &https, "--ca", empty], "--ca: expected certificates in PEM, found none in"),
        (&["--endpoint", &https, "--cert", empty, "--key", empty], "--cert and --key: expected a certificate"),
        (&["--endpoint", &https], "cannot reach the control plane at https://"),
    ] {
        let output = run(&[&["status"], args].concat());
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(stderr(&output).contains(said) && stderr(&output).lines().count() == 1, "{}", stderr(&output));
    }
    assert_eq!(run(&["status", "--endpoint", &https, "--cert", empty]).status.code(), Some(2));
}

#[test]
fn the_token_shows_nowhere() {
    let output = balancerctl(&["status", "--endpoint", &nobody()]).env("BALANCER_TOKEN", "hush-hush").output().unwrap();
    assert!(!stderr(&output).contains("hush"), "{}", stderr(&output));
    let output = balancerctl(&["status", "--help"]).env("BALANCER_TOKEN", "hush-hush").output().unwrap();
    assert!(!String::from_utf8(output.stdout).unwrap().contains("hush"));
}

#[test]
fn completions_are_scripts() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains("balancerctl"), "{shell}");
    }
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let mut child =
        balancerctl(&["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    assert_eq!(said, "");
}

#[test]
fn every_bad_line_is_named_and_nothing_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("limits.csv");
    fs::write(&path, "client_id,capacity,rate_per_sec\na,1,1\nb,0,1\nc,1\na,2,2\n").unwrap();
    let output = run(&["limits", "import", path.to_str().unwrap(), "--endpoint", &nobody()]);
    assert_eq!(output.status.code(), Some(1));
    let expected = "line 3: capacity: expected a finite number of at least 1, got \"0\"\n\
        line 4: expected 3 fields, got 2\n\
        line 5: client_id: \"a\" stands in line 2 already\n\
        error: 3 of 4 limits are bad, nothing was imported: correct the file, or leave them out with --skip-invalid\n";
    assert_eq!(stderr(&output), expected);
}

#[test]
fn only_the_first_twenty_bad_lines_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("limits.json");
    fs::write(&path, "{}\n".repeat(50)).unwrap();
    let output = run(&["limits", "import", path.to_str().unwrap()]);
    assert_eq!(stderr(&output).lines().count(), 22, "{}", stderr(&output));
    assert!(stderr(&output).contains("\n... and 30 more\n"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let output = run(&["limits", "import", "/nowhere/limits.csv"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "error: cannot read /nowhere/limits.csv: No such file or directory (os error 2)\n");
    let output = run(&["limits", "import", "-"]);
    assert!(stderr(&output).contains("--format"), "{}", stderr(&output));
}
