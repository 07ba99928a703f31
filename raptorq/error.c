#include <asx/raptorq/error.h>

const char *asx_rq_err_name(uint32_t code)
{
    switch (code) {
#define X(value, name) \
    case value:        \
        return #name;
        ASX_RQ_ERR_LIST(X)
#undef X
    default:
        return NULL;
    }
}

bool asx_rq_err_retry(asx_err err)
{
    return err == ASX_RQ_E(TOO_FEW) || err == ASX_RQ_E(RANK);
}
