#include "tests/fuzz/campaign/tally.hpp"

#include <numeric>
#include <ostream>

namespace edgecap::fuzz {

void tally::add(const scenario& what, const outcome& became) {
  ++connections_;
  requests_ += what.requests;
  closed_unanswered_ += became.closed_unanswered ? 1 : 0;
  for (std::size_t i = 0; i < statuses_.size(); ++i)
    statuses_.at(i) += became.statuses.at(i);
}

void tally::add(const tally& other) {
  connections_ += other.connections_;
  requests_ += other.requests_;
  closed_unanswered_ += other.closed_unanswered_;
  for (std::size_t i = 0; i < statuses_.size(); ++i)
    statuses_.at(i) += other.statuses_.at(i);
}

void tally::print(std::ostream& out, std::chrono::duration<double> took) const {
  out << "connections " << connections_ << "\nrequests " << requests_
      << "\nanswers "
      << std::accumulate(statuses_.begin(), statuses_.end(), std::uint64_t{0})
      << "\nclosed_unanswered " << closed_unanswered_ << "\nseconds "
      << took.count() << "\nrequests_per_second "
      << static_cast<double>(requests_) / took.count() << '\n';
  for (std::size_t i = 0; i < statuses_.size(); ++i)
    if (statuses_.at(i) > 0)
      out << "status_" << i << ' ' << statuses_.at(i) << '\n';
}

} // namespace edgecap::fuzz
