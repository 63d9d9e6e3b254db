// SPDX-License-Identifier: MIT
// flux.hpp - all of flux: every header in layer order, then the optional parts.
//
// A FLUX_WITH_* macro only ever adds whole files, and only here: translation units that disagree about it still
// agree about everything they share. With the headers of include/, #include <flux/tls.hpp> does the same without a
// macro. Deliberately not here: any declaration.
#pragma once

// --- include list written by tools/amalgamate.py --umbrella; edit nothing down to the end mark ---
#include <flux/version.hpp>
#include <flux/config.hpp>
#include <flux/core/error.hpp>
#include <flux/core/function.hpp>
#include <flux/core/intrusive_list.hpp>
#include <flux/core/result.hpp>
#include <flux/core/time.hpp>
#include <flux/core/timer_queue.hpp>
#include <flux/coro/mailbox.hpp>
#include <flux/coro/scheduler.hpp>
#include <flux/coro/context.hpp>
#include <flux/coro/frame_pool.hpp>
#include <flux/coro/operation.hpp>
#include <flux/coro/task.hpp>
#include <flux/coro/scope.hpp>
#include <flux/coro/with.hpp>
// --- end of the include list ---
