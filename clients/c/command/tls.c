#include "clients/c/command/tls.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    enum option_id id;
    const char *variable;
} names[] = {
    {OPT_TLS_CA, "TRUEKV_TLS_CA"},
    {OPT_TLS_CERTIFICATE, "TRUEKV_TLS_CERTIFICATE"},
    {OPT_TLS_KEY, "TRUEKV_TLS_KEY"},
    {OPT_TLS_NAME, "TRUEKV_TLS_NAME"},
};
enum { N_NAMES = sizeof names / sizeof names[0] };

static bool is_tcp(const struct app *app)
{
    return strncmp(app->address, "tcp:", 4) == 0;
}

static const char *value_of(const struct app *app, size_t i)
{
    const struct option_value *option = app_option(app, names[i].id);
    if (option->given) return option->text;
    const char *text = is_tcp(app) ? getenv(names[i].variable) : NULL;
    return text != NULL && text[0] != '\0' ? text : NULL;
}

void tls_options(const struct app *app, struct truekv_options *to)
{
    to->tls_ca_file = value_of(app, 0);
    to->tls_certificate_file = value_of(app, 1);
    to->tls_key_file = value_of(app, 2);
    to->tls_name = value_of(app, 3);
}

bool tls_is_on(const struct app *app)
{
    return value_of(app, 0) != NULL;
}

/* An option without text is a script's variable that is not set: to go on without TLS would show
 * the token to whoever listens. */
bool tls_check(struct app *app)
{
    struct truekv_options o;
    for (size_t i = 0; i < N_NAMES; i++) {
        const struct option_value *option = app_option(app, names[i].id);
        const char *name = option_specs[names[i].id].name;
        if (!option->given) continue;
        if (option->text[0] != '\0' && is_tcp(app)) continue;
        if (is_tcp(app))
            app_usage(app, "--%s is empty", name);
        else
            app_usage(app, "--%s is for tcp:HOST:PORT; \"%s\" has no TLS", name, app->address);
        return false;
    }
    tls_options(app, &o);
    if (o.tls_ca_file == NULL &&
        (o.tls_certificate_file != NULL || o.tls_key_file != NULL || o.tls_name != NULL)) {
        app_usage(app, "TLS begins with --tls-ca FILE: whose certificates to believe");
        return false;
    }
    if (o.tls_key_file == NULL || o.tls_certificate_file != NULL) return true;
    app_usage(app, "--tls-key needs the --tls-certificate that it belongs to");
    return false;
}

/* ---- Hints ----------------------------------------------------------------------------------- */

static const char strange[] =
    "The daemon does not take this client's certificate (auth.tls_client_ca says whose it takes); "
    "its log has tls_failed, and why.";
static const char needed[] = "The daemon wants a certificate of its clients (auth.tls_client_ca): "
                             "--tls-certificate FILE, and --tls-key FILE.";
static const char silent[] = "A daemon that speaks TLS there (auth.tls_certificate) hangs up on "
                             "whoever does not: --tls-ca FILE. "
                             "If it does not, its log may say why it went away; whether the "
                             "request took effect is not known.";

/* By words of OpenSSL, of an alert of the daemon's, or of libtruekv; the first that fits. */
static const struct {
    const char *words, *hint;
} hints[] = {
    {"speaks TLS there", "--tls-ca FILE, or $TRUEKV_TLS_CA, says whose certificates to trust, and "
                         "turns TLS on. What was sent, a token too, could be read on the way."},
    {"does not speak TLS", "The daemon's setting is auth.tls_certificate. Without --tls-ca and "
                           "$TRUEKV_TLS_CA this command does not speak it either; then all can be "
                           "read on the way."},
    {"TLS handshake in time", "A daemon without TLS (auth.tls_certificate) looks like that, too."},
    {"mismatch", "The daemon's certificate is for other names (its subjectAltName) than the one in "
                 "the address; --tls-name NAME says which to expect."},
    {"certificate has expired",
     "The daemon's certificate, or its authority's, is too old: renew it "
     "and reload the daemon. Or this machine's clock is wrong."},
    {"not yet valid", "The daemon's certificate, or its authority's, is of the future: is this "
                      "machine's clock right?"},
    {"certificate verify failed", "The file of --tls-ca must hold the certificate of the authority "
                                  "that signed the daemon's, or the daemon's own."},
    {"alert certificate required", needed},
    {"alert handshake failure", needed}, /* how TLS 1.2 says it */
    {"alert certificate", strange},
    {"alert unknown ca", strange},
    {"alert bad certificate", strange},
    {"alert unsupported certificate", strange},
    {"no TLS with", "The daemon's log may say why (tls_failed)."},
};

const char *tls_hint(const struct app *app, const struct truekv_error *e)
{
    bool found_here = e->status == TRUEKV_ECONNECT || e->status == TRUEKV_ELOST ||
                      e->status == TRUEKV_ETIMEOUT || e->status == TRUEKV_EANSWER;
    if (!is_tcp(app) || !found_here) return NULL;
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        if (strstr(e->message, hints[i].words) != NULL) return hints[i].hint;
    }
    return e->status == TRUEKV_ELOST && !tls_is_on(app) ? silent : NULL;
}
