#pragma once

#include <functional>
#include <string>
#include <thread>

namespace edgecap::capture {

/// Starts a thread named `name` (at most 15 bytes are kept, as
/// pthread_setname_np(3) demands) in which every signal is blocked, so that
/// signals go to the threads that wait for them.
/// @throws std::system_error if no thread can be had.
std::thread start_thread(std::string name, std::function<void()> body);

} // namespace edgecap::capture
