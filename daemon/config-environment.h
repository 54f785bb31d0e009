#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What OpenTelemetry's environment variables say of the exporter `default`:
 * OTEL_EXPORTER_OTLP_ENDPOINT, _PROTOCOL, _COMPRESSION, _TIMEOUT (milliseconds) and _HEADERS.
 *
 * I/O: the environment.
 */

#include "daemon/config.h"

/* Sets in `exporter` what the environment names; an empty variable counts as unset. */
int config_environment_apply(ConfigExporter *exporter, ConfigError *error);
