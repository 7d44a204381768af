// All of mlxnx::optimizers: how parameters change by their gradients, and how fast.
#pragma once

#include "mlxnx/optimizers/methods.h"
#include "mlxnx/optimizers/optimizer.h"
#include "mlxnx/optimizers/schedules.h"
