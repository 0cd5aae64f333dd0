//! The flags of `courant up`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use courant_monitoring::TelemetryFlags;
use courant_runtime::command_line::ConfigFlags;

#[derive(Args)]
pub struct Up {
    #[command(flatten)]
    pub server: courant_server::Config,

    /// Address of the gRPC endpoint; port 0 takes a free one
    #[arg(
        help_heading = "Addresses",
        long,
        env = "COURANT_GRPC",
        default_value = "127.0.0.1:50051",
        value_name = "ADDR:PORT"
    )]
    pub grpc: SocketAddr,

    /// Address of the web server (console, WebSocket, HTTP); port 0 takes a free one
    #[arg(
        help_heading = "Addresses",
        long,
        env = "COURANT_HTTP",
        default_value = "127.0.0.1:8080",
        value_name = "ADDR:PORT"
    )]
    pub http: SocketAddr,

    /// PDF workers, one document each at a time; 0 leaves the work to other processes; default: the number of CPUs
    #[arg(help_heading = "Workers", long, env = "COURANT_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(0..=256))]
    pub workers: Option<u16>,

    #[command(flatten)]
    pub pdf: courant_pdf::PdfOptions,

    /// The user whom the printed console link signs in; default: the login name
    #[arg(help_heading = "Console link", long, env = "COURANT_USER", value_name = "NAME")]
    pub user: Option<String>,

    /// How long the printed console link is valid
    #[arg(help_heading = "Console link", long, env = "COURANT_LINK_TTL", default_value = "24h", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub link_ttl: Duration,

    /// Print the link with its token also where standard output is no terminal; others may read it there
    #[arg(help_heading = "Console link", long, env = "COURANT_PRINT_LINK")]
    pub print_link: bool,

    /// TLS for gRPC and the web server. The parts of this process know each other by the certificate
    #[command(flatten)]
    pub tls: courant_tls::ServerFlags,

    /// Let in to the gRPC endpoint only clients that show a certificate of this authority (mutual TLS), in PEM
    #[arg(help_heading = "TLS", long, env = "COURANT_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,

    #[command(flatten)]
    pub trust: courant_auth::Trust,

    #[command(flatten)]
    pub bridge: courant_bridge::Flags,

    /// Submit this PDF once ready, show its progress and keep its Markdown under DATA_DIR/demo
    #[arg(help_heading = "Console link", long, env = "COURANT_DEMO", value_name = "FILE")]
    pub demo: Option<PathBuf>,

    #[command(flatten)]
    pub configuration: ConfigFlags,

    #[command(flatten)]
    pub monitoring: courant_monitoring::MonitoringFlags,

    #[command(flatten)]
    pub telemetry: TelemetryFlags,
}
