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
#include <flux/core/base64.hpp>
#include <flux/core/buffer.hpp>
#include <flux/core/constant_time.hpp>
#include <flux/core/dynamic_array.hpp>
#include <flux/core/error.hpp>
#include <flux/core/function.hpp>
#include <flux/core/intrusive_list.hpp>
#include <flux/core/result.hpp>
#include <flux/core/time.hpp>
#include <flux/core/timer_queue.hpp>
#include <flux/coro/frame_pool.hpp>
#include <flux/coro/mailbox.hpp>
#include <flux/coro/scheduler.hpp>
#include <flux/coro/context.hpp>
#include <flux/coro/operation.hpp>
#include <flux/coro/task.hpp>
#include <flux/coro/scope.hpp>
#include <flux/coro/branches.hpp>
#include <flux/coro/cancel.hpp>
#include <flux/coro/wait_queue.hpp>
#include <flux/coro/channel.hpp>
#include <flux/coro/event.hpp>
#include <flux/coro/map.hpp>
#include <flux/coro/mutex.hpp>
#include <flux/coro/placed.hpp>
#include <flux/coro/semaphore.hpp>
#include <flux/coro/sleep.hpp>
#include <flux/coro/when.hpp>
#include <flux/coro/with.hpp>
#include <flux/io/blocking.hpp>
#include <flux/io/buffer_pool.hpp>
#include <flux/io/op.hpp>
#include <flux/io/driver.hpp>
#include <flux/io/unique_fd.hpp>
#include <flux/io/epoll_driver.hpp>
#include <flux/io/uring_driver.hpp>
#include <flux/io/reactor.hpp>
#include <flux/io/io_state.hpp>
#include <flux/io/poll.hpp>
#include <flux/io/receiver.hpp>
#include <flux/io/run.hpp>
#include <flux/io/signal.hpp>
#include <flux/io/workers.hpp>
#include <flux/net/stream.hpp>
#include <flux/net/socket_core.hpp>
#include <flux/net/socket_ops.hpp>
#include <flux/net/send_file.hpp>
#include <flux/net/endpoint.hpp>
#include <flux/net/socket.hpp>
#include <flux/net/socket_stream.hpp>
#include <flux/net/connect.hpp>
#include <flux/net/connect_trace.hpp>
#include <flux/net/destination.hpp>
#include <flux/net/resolve_errc.hpp>
#include <flux/net/dns_message.hpp>
#include <flux/net/dns_cache.hpp>
#include <flux/net/dns_config.hpp>
#include <flux/net/read.hpp>
#include <flux/net/udp.hpp>
#include <flux/net/dns_exchange.hpp>
#include <flux/net/resolver.hpp>
#include <flux/net/dns_resolver.hpp>
#include <flux/net/happy_eyeballs.hpp>
#include <flux/net/tcp_connector.hpp>
#include <flux/net/connector.hpp>
#include <flux/net/listener.hpp>
#include <flux/net/octet_input.hpp>
#include <flux/net/system_resolver.hpp>
#include <flux/http/message/octets.hpp>
#include <flux/http/message/field_list.hpp>
#include <flux/http/message/field_name.hpp>
#include <flux/http/message/fields_view.hpp>
#include <flux/http/message/scan.hpp>
#include <flux/http/message/fields.hpp>
#include <flux/http/message/body.hpp>
#include <flux/http/message/content_type.hpp>
#include <flux/http/message/body_codec.hpp>
#include <flux/http/message/date.hpp>
#include <flux/http/message/method.hpp>
#include <flux/http/message/conditional.hpp>
#include <flux/http/message/content_coding.hpp>
#include <flux/http/message/content_disposition.hpp>
#include <flux/http/message/cookie.hpp>
#include <flux/http/message/query.hpp>
#include <flux/http/message/form.hpp>
#include <flux/http/message/status.hpp>
#include <flux/http/message/version.hpp>
#include <flux/http/message/head.hpp>
#include <flux/http/message/host.hpp>
#include <flux/http/message/media_type.hpp>
#include <flux/http/message/range.hpp>
#include <flux/http/message/request.hpp>
#include <flux/http/message/response.hpp>
#include <flux/http/message/url.hpp>
#include <flux/http/wire/errc.hpp>
#include <flux/http/wire/limits.hpp>
#include <flux/http/wire/field_section.hpp>
#include <flux/http/wire/framing.hpp>
#include <flux/http/wire/octet_sink.hpp>
#include <flux/http/wire/head_writer.hpp>
#include <flux/http/wire/chunked.hpp>
#include <flux/http/wire/head_parser_base.hpp>
#include <flux/http/wire/request_parser.hpp>
#include <flux/http/wire/response_parser.hpp>
#include <flux/http/wire/head_parser.hpp>
#include <flux/http/wire/multipart_parser.hpp>
#include <flux/http/server/connection_observer.hpp>
#include <flux/http/server/date_cache.hpp>
#include <flux/http/server/direct_output.hpp>
#include <flux/http/server/drain_signal.hpp>
#include <flux/http/server/error_answer.hpp>
#include <flux/http/server/path_arguments.hpp>
#include <flux/http/server/responder.hpp>
#include <flux/http/server/handler.hpp>
#include <flux/http/server/server_options.hpp>
#include <flux/http/server/exchange.hpp>
#include <flux/http/server/hangup_watch.hpp>
#include <flux/http/server/raw_stream.hpp>
#include <flux/http/server/request_body.hpp>
#include <flux/http/server/write_watch.hpp>
#include <flux/http/server/response_channel.hpp>
#include <flux/http/server/peer_table.hpp>
#include <flux/http/server/middleware.hpp>
#include <flux/http/server/route_pattern.hpp>
#include <flux/http/server/route_tree.hpp>
#include <flux/http/server/route_table.hpp>
#include <flux/http/server/router.hpp>
#include <flux/http/server/server_core.hpp>
#include <flux/http/server/exchange_run.hpp>
#include <flux/http/server/file_listing.hpp>
#include <flux/http/server/file_root.hpp>
#include <flux/http/server/send_file.hpp>
#include <flux/http/server/file_server.hpp>
#include <flux/http/server/layers/request_id.hpp>
#include <flux/http/server/layers/access_log.hpp>
#include <flux/http/server/layers/basic_auth.hpp>
#include <flux/http/server/layers/body_limit.hpp>
#include <flux/http/server/layers/concurrency_limit.hpp>
#include <flux/http/server/layers/cors.hpp>
#include <flux/http/server/layers/default_fields.hpp>
#include <flux/http/server/layers/rate_limit.hpp>
#include <flux/http/server/layers/recover.hpp>
#include <flux/http/server/layers/timeout.hpp>
#include <flux/http/server/multipart.hpp>
#include <flux/http/server/read_body.hpp>
#include <flux/http/server/server_connection.hpp>
#include <flux/http/server/server.hpp>
#include <flux/http/server/serve.hpp>
#include <flux/http/server/sse.hpp>
#include <flux/http/client/redirect.hpp>
#include <flux/http/client/client_options.hpp>
#include <flux/http/client/client_trace.hpp>
#include <flux/http/client/content_decoding.hpp>
#include <flux/http/client/client_exchange.hpp>
#include <flux/http/client/pool.hpp>
#include <flux/http/client/client_connection.hpp>
#include <flux/http/client/client_response.hpp>
#include <flux/http/client/client_request.hpp>
#include <flux/http/client/cookie_jar.hpp>
#include <flux/http/client/request_upload.hpp>
#include <flux/http/client/client.hpp>
#include <flux/http/client/multipart_form.hpp>

#if defined(FLUX_WITH_ZLIB) && FLUX_WITH_ZLIB
#include <flux/zlib.hpp>
#endif

#if defined(FLUX_WITH_TLS) && FLUX_WITH_TLS
#include <flux/tls.hpp>
#endif

#if defined(FLUX_WITH_TESTING) && FLUX_WITH_TESTING
#include <flux/testing.hpp>
#endif
// --- end of the include list ---
