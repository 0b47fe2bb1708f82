"""A second opinion on the practice venue: the order lifecycle in plain Python, with virtual time and no database.

Written from the contract (API.md, DESIGN §4.1-4.4 and §4.8, the Tunicoin document for `classic`), it imports nothing of
`trading.domain` and the services, and reckons in fractions. Random scripts are played on both; every order, transition,
fill, position, ledger entry, refusal and event must then be the same.

    market, account     what there is: books and prices; cash, orders, positions, margin
    checks              what an order must pass, in order
    record, protection, booking, matching, venue    what happens to it
    scripts             random scripts, each a function of its seed
    services, views     the same script on the real services; both sides in one shape
    comparing           both sides at once; where they differ the script is shrunk and told

Where the contract is silent the model follows the product:

- A fill's events come before its order's; then protective orders that changed, positions that ended, the position as
  it is, and the balance.
- A resting order is held against ticks whose book is newer than the one it was admitted against; a trigger also against
  a later price at that same book.
- Of a tick, triggers are booked first: kind by kind (price and direction) in the order in which the matcher first met
  the kinds, in each the nearest trigger first; then buys and sells that were reached, best price first; then those
  whose turn it is in the queue.
- Volume at a price counts where that price is the tick's lowest (sold) or highest (bought).
- A reduce-only order that rests is cut to the position when it fills and cancelled when there is none; one with a
  trigger is cut when that is reached.
- A triggered order that may not be placed ends as rejected with the refusal's name; a protective one waits on.
- The fee of a fill that turns a position round is divided by quantity, the ended position's share rounded up.
- Funding of a position that has ended since goes to its record, not to the one that is open now.
- Shrinking an order keeps its place in the queue and is held against size rules alone; any other change is a new
  admission.
- The noise of a classic fill is the services': their seed names the account, which the model has no number for. That
  it stays within 0.02 % the model checks itself.

Not modelled: liquidation, transfers, halts, cool-off, TWAP, freezing; a script lasts less than a day.
"""
