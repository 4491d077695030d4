//! Settings of distributed tracing.

use clap::Args;

use super::secret::Secret;

/// Settings of distributed tracing.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Tracing")]
pub struct Tracing {
    /// Address of an OpenTelemetry collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`. Mutations with a
    /// sampled `traceparent` are then traced up to the devices that show them, see docs/tracing.md. Without it, tracing is
    /// off.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub otlp_endpoint: Option<Secret>,
}
