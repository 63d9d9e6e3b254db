// SPDX-License-Identifier: MIT
// What tests/client/real_server_test.cpp asks for, by Node's http module: node server.js PORT
const http = require("http");

const big = Buffer.alloc(8000000);
let x = 1;
for (let i = 0; i < big.length; ++i) {
  x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
  big[i] = x >>> 24;
}
http.createServer((request, response) => {
  if (request.url === "/hello") {
    response.setHeader("Content-Length", 5);
    response.end("hello");
  } else if (request.url === "/big") {
    response.setHeader("Content-Length", big.length);
    response.end(big);
  } else if (request.url === "/echo") {
    request.pipe(response);
  } else if (request.url === "/chunked") {
    response.setHeader("Trailer", "X-Sum");
    response.write("one ");
    setTimeout(() => {
      response.write("two three");
      response.addTrailers({ "X-Sum": "13" });
      response.end();
    }, 20);
  } else {
    response.statusCode = 404;
    response.end("missing");
  }
}).listen(Number(process.argv[2]), "127.0.0.1");
