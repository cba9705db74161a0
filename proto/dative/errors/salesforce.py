"""Codes of the Salesforce connector: what its login and its REST API say, and what helps."""

from dative.errors.base import Code

_APP = "Setup → App Manager → the app → Manage → Policies"

USER_NOT_APPROVED = Code(
    "salesforce.user_not_approved",
    "PERMISSION_DENIED",
    "The connected app is not pre-authorised for this user.",
    f"{_APP}: set 'Admin approved users are pre-authorized' and add a profile or permission set of the user.",
)
APP_NOT_APPROVED = Code(
    "salesforce.app_not_approved",
    "PERMISSION_DENIED",
    "The org does not let this user into this app.",
    f"{_APP}: add a profile or permission set of the user; install the app in the org if it is not installed.",
)
CLIENT_ID_INVALID = Code(
    "salesforce.client_id_invalid",
    "UNAUTHENTICATED",
    "The org does not know this consumer key.",
    "Copy the consumer key of the connected app into the connection's client_id; a new app needs ten minutes to be known.",
)
AUDIENCE_INVALID = Code(
    "salesforce.audience_invalid",
    "UNAUTHENTICATED",
    "The login was addressed to the wrong kind of org.",
    "Use https://test.salesforce.com for sandboxes and https://login.salesforce.com else, in login_url or audience.",
)
ASSERTION_INVALID = Code(
    "salesforce.assertion_invalid",
    "UNAUTHENTICATED",
    "The org does not accept the signature: the private key does not belong to the app's certificate, or it has expired.",
    "Upload the certificate of this private key to the connected app, or set the secret private_key again.",
)
CLOCK_SKEWED = Code(
    "salesforce.clock_skewed",
    "UNAUTHENTICATED",
    "This machine's clock differs too much from Salesforce's, so its login looks expired.",
    "Correct the machine's time (NTP); nothing else is wrong.",
)
KEY_UNREADABLE = Code(
    "salesforce.key_unreadable",
    "INVALID_ARGUMENT",
    "The secret private_key is not an RSA private key in PEM form without a passphrase.",
    "Set it from the file: dative env secret set NAME --from-file key.pem",
)
USER_INACTIVE = Code(
    "salesforce.user_inactive",
    "PERMISSION_DENIED",
    "The user is inactive, frozen or locked out.",
    "Setup → Users: activate or unfreeze the user.",
)
ORG_LOCKED = Code(
    "salesforce.org_locked",
    "UNAVAILABLE",
    "The org is locked or being moved.",
    "Look at status.salesforce.com; the next run tries again.",
)
IP_RESTRICTED = Code(
    "salesforce.ip_restricted",
    "PERMISSION_DENIED",
    "The org does not let this user in from the atom's address.",
    "Add the atom's outgoing address to the profile's login ranges, or relax IP restrictions in the app's policies.",
)
LOGIN_RATE_EXCEEDED = Code(
    "salesforce.login_rate_exceeded",
    "RESOURCE_EXHAUSTED",
    "The user logged in too often within an hour.",
    "Wait for the hour to pass; look for another integration that logs in with this user.",
)
LOGIN_REFUSED = Code(
    "salesforce.login_refused",
    "UNAUTHENTICATED",
    "The org refused the login for a reason that this version does not know.",
    "Look at Setup → Login History of the user.",
)
LOGIN_PAUSED = Code(
    "salesforce.login_paused",
    "UNAUTHENTICATED",
    "The last login was refused, and it is not tried again for a while so that the user is not locked out.",
    "Correct what the first refusal named and deploy; a changed secret or setting is tried at once.",
)
SESSION_REJECTED = Code(
    "salesforce.session_rejected",
    "UNAUTHENTICATED",
    "Salesforce rejected a session that it had just given out.",
    "Check that the user's profile has 'API Enabled' and that the app's scopes hold 'api'.",
)
QUERY_MALFORMED = Code(
    "salesforce.query_malformed",
    "INVALID_ARGUMENT",
    "Salesforce can not read the query; most often the step's `where`.",
    "Try the condition in the Developer Console's Query Editor.",
)
QUERY_TOO_LONG = Code(
    "salesforce.query_too_long",
    "INVALID_ARGUMENT",
    "The query is longer than an address may be.",
    "Name fewer fields, or read them in two steps.",
)
QUERY_TIMEOUT = Code(
    "salesforce.query_timeout",
    "DEADLINE_EXCEEDED",
    "The query takes Salesforce longer than it allows, also for a narrow time window.",
    "Filter on an indexed field, or ask Salesforce for an index on the fields of `where`.",
)
OBJECT_UNKNOWN = Code(
    "salesforce.object_unknown",
    "NOT_FOUND",
    "The org has no such object, or the user may not see it, or it can not be queried.",
    "Correct the name, or give the user's permission set access to the object.",
)
FIELD_UNKNOWN = Code(
    "salesforce.field_unknown",
    "NOT_FOUND",
    "The object has no such field, or field-level security hides it from the user.",
    "Correct the name, or make the field visible to the user's permission set.",
)
FIELD_NOT_FILTERABLE = Code(
    "salesforce.field_not_filterable",
    "INVALID_ARGUMENT",
    "Salesforce does not filter on this field, so it can not carry an incremental read.",
    "Choose another time field, or read without `incremental`.",
)
BIND_INVALID = Code(
    "salesforce.bind_invalid",
    "INVALID_ARGUMENT",
    "A bind's value does not fit the type of the field it is compared with.",
    "Give the parameter a value of the field's type.",
)
CALLS_EXHAUSTED = Code(
    "salesforce.calls_exhausted",
    "RESOURCE_EXHAUSTED",
    "The org's API calls of the last 24 hours are used up, or only the reserve for other applications is left.",
    "The run goes on from its last settled batch at the next start; see Setup → System Overview → API Requests.",
)
API_DISABLED = Code(
    "salesforce.api_disabled",
    "PERMISSION_DENIED",
    "The org or the user has no API access.",
    "Grant 'API Enabled' to the user; Professional editions need the API as an extra.",
)
ACCESS_DENIED = Code(
    "salesforce.access_denied",
    "PERMISSION_DENIED",
    "The user may not do this in Salesforce.",
    "Give the user's permission set the right that the message names.",
)
VERSION_RETIRED = Code(
    "salesforce.version_retired",
    "FAILED_PRECONDITION",
    "Salesforce no longer speaks, or does not yet speak, the connection's API version.",
    "Set the connection's api_version to a supported one, as 67.0.",
)
REFUSED = Code(
    "salesforce.refused",
    "FAILED_PRECONDITION",
    "Salesforce refused the call with an error code that this version does not know.",
    "Look up the error code of the message in the Salesforce REST API Developer Guide.",
)
LOCATOR_EXPIRED = Code(
    "salesforce.locator_expired",
    "ABORTED",
    "Salesforce forgot the place in the middle of an ordered read, and an order of one's own has none to go on from.",
    "Leave out `order`, or read less at once.",
)
