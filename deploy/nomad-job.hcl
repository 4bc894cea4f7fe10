# Workers of a migration (docs/migrate.md) as a Nomad batch job: nomad job run -var key=KEY deploy/nomad-job.hcl
# KEY is what `imageadm migrate submit` prints. imageadm is expected on the clients.
variable "key" {
  type        = string
  description = "the key of the migration"
}

variable "nats" {
  type        = string
  description = "the queue"
  default     = "nats://nats.service.consul:4222"
}

variable "workers" {
  type        = number
  description = "how many workers"
  default     = 10
}

job "imageadm-migrate" {
  type = "batch"

  group "workers" {
    count = var.workers

    # A worker that is killed loses nothing: its image is delivered to another one.
    restart {
      attempts = 10
      interval = "1h"
      delay    = "15s"
      mode     = "delay"
    }

    reschedule {
      attempts  = 10
      interval  = "24h"
      unlimited = false
    }

    ephemeral_disk {
      size = 51200
    }

    task "worker" {
      driver = "exec"

      config {
        command = "imageadm"
        args = [
          "migrate", "worker", var.key,
          "--nats", var.nats,
          "--work", "${NOMAD_ALLOC_DIR}/work-${NOMAD_SHORT_ALLOC_ID}",
          "--store", "${NOMAD_ALLOC_DIR}/store",
          "--authfile", "${NOMAD_SECRETS_DIR}/auth.json",
          "--memory", "512MiB", "--jsonl",
        ]
      }

      resources {
        cpu    = 4000
        memory = 2048
      }
    }
  }
}
