"""How each proxy is told to do the same: forward to one backend, with a limit for each client, X-Forwarded-For, no access log."""
import lab

ENDLESS = 1_000_000_000
BASE = "haproxy"
CIPHER = "TLS_AES_128_GCM_SHA256"  # what Balancer chooses


def nginx_conf(folder, threads, body):
    return f"""daemon off; master_process on; worker_processes {threads}; worker_rlimit_nofile 20000; pid {folder}/pid; error_log {folder}/log error;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; client_body_buffer_size 32k;
client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;
fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e; {body} }}"""


def backend(folder, port):
    """An nginx that answers from memory."""
    for size in (1024, 102400):
        lab.write(folder, str(size), "x" * size)
    body = f"""server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}; open_file_cache max=10;
      location / {{ return 200 "Hello, world!"; }} location = /1024 {{ }} location = /102400 {{ }} }}"""
    return ["nginx", "-p", folder, "-c", lab.write(folder, "nginx.conf", nginx_conf(folder, 1, body))]


def nginx(folder, port, backend_port, case, tools):
    # nginx counts in whole requests per second and allows a burst of as many.
    limit = min(case.rate_limit, 1_000_000)
    key = "$http_x_api_key" if case.keys else "$binary_remote_addr"
    tls = f" ssl; ssl_certificate {tools.certificate}; ssl_certificate_key {tools.key}; ssl_session_cache shared:s:10m; ssl_conf_command Ciphersuites {CIPHER}" if case.tls else ""
    body = f"""limit_req_zone {key} zone=z:64m rate={limit}r/s; limit_req_status 429;
    upstream b {{ server 127.0.0.1:{backend_port}; keepalive 512; keepalive_requests 1000000000; keepalive_timeout 300s; }}
    server {{ listen 127.0.0.1:{port} backlog=4096 reuseport{tls}; location / {{ limit_req zone=z burst={limit} nodelay; proxy_pass http://b;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }}"""
    return ["nginx", "-p", folder, "-c", lab.write(folder, "nginx.conf", nginx_conf(folder, case.threads, body))]


def haproxy(folder, port, backend_port, case, tools):
    table, key = ("string len 32", "hdr(X-API-Key)") if case.keys else ("ip", "src")
    both = lab.write(folder, "both.pem", open(tools.certificate).read() + open(tools.key).read()) if case.tls else None
    tls = f" ssl crt {both} ciphersuites {CIPHER}" if both else ""
    return ["haproxy", "-db", "-f", lab.write(folder, "haproxy.cfg", f"""global
  nbthread {case.threads}
  maxconn 9000
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  option forwardfor
frontend f
  bind 127.0.0.1:{port} backlog 4096{tls}
  stick-table type {table} size 1m expire 60s store http_req_rate(1s)
  http-request track-sc0 {key}
  http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {min(case.rate_limit, 2_000_000_000)} }}
  default_backend b
backend b
  http-reuse always
  server s 127.0.0.1:{backend_port} pool-max-conn 1024
""")]


def balancer(folder, port, backend_port, case, tools):
    rate = case.rate_limit
    if case.keys:
        tools.database_with_keys(f"{folder}/balancer.db", case.keys, rate)
    config = lab.write(folder, "config.yaml", f"""server: {{ host: 127.0.0.1, port: {port} }}
default_limits: {{ capacity: {ENDLESS if case.keys else rate}, rate_per_sec: {ENDLESS if case.keys else rate} }}
backend_list: [{{ backend_url: "http://127.0.0.1:{backend_port}", config: {{ health: {{ url: /small }} }} }}]
admin: {{ host: 127.0.0.1, port: {lab.free_port()} }}
database: {{ url: "sqlite://{folder}/balancer.db" }}
client: {{ header: X-API-Key }}
limits: {{ scope: {case.scope} }}
""")
    tls = ["--tls-cert", tools.certificate, "--tls-key", tools.key] if case.tls else []
    return [tools.balancer, "--config", config, "--threads", str(case.threads), "--log-level", "warn"] + tls


PROXIES = {"nginx": nginx, "haproxy": haproxy, "balancer": balancer}
