// SPDX-License-Identifier: MIT
// What the tests of the boundary call its parts.
#pragma once

#include "spargio/boundary.hpp"

namespace spargio::test {

using boundary::channel;
using boundary::Client;
using boundary::Request;
using boundary::Server;
using boundary::Ticket;

using IntClient = Client<int, int>;
using IntServer = Server<int, int>;

}  // namespace spargio::test
