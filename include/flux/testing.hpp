// SPDX-License-Identifier: MIT
// flux/testing.hpp - the public test tools: virtual time, streams without a kernel, faults, a simulated network.
//
// Never needed by a program that is not a test. Deliberately not here: a test framework; everything reports by
// return values or by a function of yours.
#pragma once

// --- include list written by tools/amalgamate.py --umbrella; edit nothing down to the end mark ---
#include <flux/testing/leak_check.hpp>
#include <flux/testing/prng.hpp>
#include <flux/testing/virtual_loop.hpp>
#include <flux/testing/fail_point.hpp>
#include <flux/testing/memory_pipe.hpp>
#include <flux/testing/memory_stream.hpp>
#include <flux/testing/memory_listener.hpp>
#include <flux/testing/memory_connector.hpp>
#include <flux/testing/sim_wire.hpp>
#include <flux/testing/sim_network.hpp>
#include <flux/testing/split.hpp>
#include <flux/testing/test_server.hpp>
// --- end of the include list ---
